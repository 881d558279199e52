# The image of one family of models. It holds the packages of the family's lock, the worker, the
# family's own folder, and nothing else.
#
#   matterzoo build chgnet     puts the context together (ingest/images/context.py) and builds
#   docker run --rm --network none --read-only --tmpfs /tmp \
#       -v $PWD/job:/job:ro -v $PWD/out:/out IMAGE /job /out
#
# Docker's classic builder, BuildKit and Podman all know every instruction: there are no mounts and
# no heredocs. The base is a plain Python. CUDA's libraries come with torch's own wheels, and the
# driver comes with the host, so a vendor's base image would only bring a second copy of several GB.

ARG BASE=python:3.11-slim-bookworm
# The image in which packages are installed. It may hold compilers or a company's certificates:
# nothing of it stays in the finished image.
ARG BUILDER=${BASE}


FROM ${BASE} AS base
LABEL org.matterzoo.part=base
# HOME and the user's name belong to no real user: whoever starts the image gives it their own uid.
ENV PATH=/env/bin:${PATH} \
    PYTHONPATH=/matterzoo \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    USER=matterzoo \
    LOGNAME=matterzoo \
    NUMBA_CACHE_DIR=/tmp/numba \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
WORKDIR /matterzoo


FROM ${BUILDER} AS tools
LABEL org.matterzoo.part=build
ARG UV
ARG OFFLINE
ARG PIP_INDEX_URL
# uv uses the certificates of the image instead of its own, so that those of a BUILDER count.
ENV PIP_FIND_LINKS=/wheels UV_FIND_LINKS=/wheels UV_NO_CACHE=1 UV_LINK_MODE=copy \
    UV_PYTHON_DOWNLOADS=never SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
COPY wheels/shared/ /wheels/
RUN python3 -m venv /opt/uv \
    && /opt/uv/bin/pip install --quiet --no-cache-dir --disable-pip-version-check \
        ${OFFLINE:+--no-index} ${UV}


# torch and the CUDA libraries that only torch requires. No family's name occurs here, so that
# families with the same torch share this layer, even if two machines build them. For that, all
# files get the same date, and bytecode that does not depend on it; uv's own records are removed;
# and the folder is copied into the root, because a folder above it would bring the date of the
# copy. (Some packages carry templates that are not Python. That they cannot be compiled is no
# fault.)
FROM tools AS torch
ARG TORCH
ARG TORCH_BACKEND
ARG OFFLINE
ARG UV_DEFAULT_INDEX
RUN /opt/uv/bin/uv venv --quiet --relocatable --python python3 /torch \
    && if [ -n "${TORCH}" ]; then \
        /opt/uv/bin/uv pip install --quiet --python /torch \
            ${OFFLINE:+--no-index} ${TORCH_BACKEND:+--torch-backend ${TORCH_BACKEND}} ${TORCH} \
        && /opt/uv/bin/uv pip freeze --python /torch | sed 's/[= @].*//' \
            | grep -vixE 'torch|triton|(nvidia|cuda)-.*' \
            | xargs -r /opt/uv/bin/uv pip uninstall --quiet --python /torch; \
    fi \
    && rm -rf /torch/lib/python*/site-packages/torch/test \
        /torch/lib/python*/site-packages/torch/include \
    && find /torch -name uv_cache.json -delete \
    && find /torch -name RECORD -exec sed -i /uv_cache.json/d {} + \
    && { /torch/bin/python -m compileall -qq -j 0 --invalidation-mode unchecked-hash /torch/lib \
        || true; } \
    && find /torch -exec touch --no-dereference --date=@0 {} + \
    && mkdir -p /built/torch && mv /torch /built/torch/


# The packages of the family's lock, each file checked against its hash. Then the packages that no
# index has, from their repositories at a commit, which is git's own hash. Nothing of them is left
# out, as some import their own tests. Of torch, its tests and headers are: no compiler is here to
# read them.
FROM torch AS install
ARG FAMILY
ARG OFFLINE
ARG SOURCES
COPY wheels/family/ /wheels/
COPY zoo/families/${FAMILY}/requirements.lock /tmp/
RUN /opt/uv/bin/uv venv --quiet --relocatable --python python3 /env \
    && /opt/uv/bin/uv pip install --quiet --python /env ${OFFLINE:+--no-index} \
        --no-deps --require-hashes -r /tmp/requirements.lock \
    && if [ -n "${SOURCES}" ]; then \
        { [ -n "${OFFLINE}" ] || command -v git \
            || { apt-get -qq update && apt-get -qq install -y git; }; } \
        && /opt/uv/bin/uv pip install --quiet --python /env ${OFFLINE:+--no-index} \
            --no-deps ${SOURCES}; \
    fi \
    && site="lib/$(basename /env/lib/python*)/site-packages" \
    && echo "/torch/${site}" > "/env/${site}/torch.pth" \
    && find /env -name uv_cache.json -delete \
    && find /env -name RECORD -exec sed -i /uv_cache.json/d {} + \
    && { /env/bin/python -m compileall -qq -j 0 --invalidation-mode unchecked-hash /env/lib \
        || true; } \
    && find /env -exec touch --no-dereference --date=@0 {} + \
    && mkdir -p /built/env && mv /env /built/env/


# Libraries that the family's packages expect of the system are Debian's, unless the base has them.
FROM base AS family
COPY --from=torch /built/torch/ /
ARG OFFLINE
ARG SYSTEM_PACKAGES
RUN if [ -n "${SYSTEM_PACKAGES}" ] && ! dpkg --status ${SYSTEM_PACKAGES} > /dev/null 2>&1; then \
        if [ -n "${OFFLINE}" ]; then \
            echo "the base image lacks one of Debian's packages ${SYSTEM_PACKAGES}" >&2; exit 1; \
        fi \
        && apt-get -qq update \
        && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends \
            ${SYSTEM_PACKAGES} \
        && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/log/apt /var/log/dpkg.log; \
    fi
COPY --from=install /built/env/ /
ARG FAMILY
COPY zoo/__init__.py zoo/encoder.py zoo/errors.py zoo/files.py zoo/
COPY zoo/worker/ zoo/worker/
COPY zoo/families/${FAMILY}/ family/
USER 65532:65532
ENTRYPOINT ["/env/bin/python", "-P", "-m", "zoo.worker", "--family", "/matterzoo/family"]
