# Every target is a thin line over the command `matterzoo` (.venv/bin/matterzoo), which explains itself with --help.
.DEFAULT_GOAL := help
.SUFFIXES:
.PHONY: help demo ingest query shell report site serve test bench install account list info weights pin datasets plan publish fetch \
    export import export-systems rebuild migrate du clean clean-cache env bundled-envs demo-envs paper images build push pull save wheels check-image doctor \
    matrix nearest lock check status cancel test-browser test-cluster test-containers test-families test-gpu suite lint host-lock package

PY := .venv/bin/python
MATTERZOO := $(PY) -m matterzoo

# The variables that each target takes. Others on its command line are refused: otherwise a slip would be ignored without a word.
OPTIONS          := DEVICE DTYPE BATCH LIMIT RUNTIME REPRESENTATION NODES
info_takes       := MODEL
weights_takes    := MODEL YES
pin_takes        := MODEL DATASET AGAIN
CLUSTER          := ON PARTITION ACCOUNT TIME AT_ONCE PER_TASK SBATCH ADDRESS
ingest_takes     := MODEL DATASET NAME NUMBERED $(OPTIONS) $(CLUSTER) MEMORY CPUS TIMEOUT VECTORS IDS TITLE LICENSE YES
plan_takes       := MODEL DATASET NAME NUMBERED $(OPTIONS) $(CLUSTER)
publish_takes    := MODEL DATASET REPO REPRESENTATION
fetch_takes      := MODEL DATASET REPO REVISION REPRESENTATION LIMIT
export_takes     := FILE
import_takes     := FILE
export-systems_takes := DATASET FILE NAME NUMBERED LIMIT
query_takes      := SQL FORMAT OUT
report_takes     := DATASET OUT
site_takes       := DATASET OUT TITLE NO_PROMPT
serve_takes      := ADDRESS PORT PAGES
matrix_takes     := DATASET METRIC MODELS ROWS K ESTIMATOR NORMALIZE PERMUTATIONS SUBSAMPLES SEED MISSING DEVICE ON NODES PARTITION ACCOUNT TIME SBATCH ADDRESS CPUS
nearest_takes    := MODEL FILE DATASET NAME NUMBERED K DEVICE DTYPE RUNTIME FORMAT OUT YES
clean_takes      := MODEL DATASET FAMILY YES
env_takes        := FAMILY
build_takes      := FAMILY BASE BUILDER TORCH OFFLINE
push_takes       := FAMILY REGISTRY UNCOMMITTED
pull_takes       := FAMILY MODEL
save_takes       := FAMILY
wheels_takes     := FAMILY
check-image_takes := FAMILY RUNTIME
lock_takes       := FAMILY
check_takes      := MODEL FAMILY DEVICE DUMMY
test-containers_takes := TESTS
# Every target takes these, and what is meant for the programs that it starts.
SETTINGS := PYTHON STORE MATTERZOO_% PIP_% UV_% HF_% XDG_% CUDA_% OMP_% MKL_% DOCKER_% %_proxy %_PROXY PYTHON% \
    LANG LC_% HOME PATH TMPDIR SHELL

GOALS   := $(or $(MAKECMDGOALS),help)
KNOWN   := $(sort $(foreach goal,$(GOALS),$($(goal)_takes)))
GIVEN   := $(foreach name,$(.VARIABLES),$(if $(filter command,$(origin $(name))),$(name)))
SURPLUS := $(filter-out $(KNOWN) $(SETTINGS),$(GIVEN))
ifneq ($(SURPLUS),)
$(error `make $(GOALS)` does not know $(SURPLUS); it takes $(or $(KNOWN),no variables of its own))
endif

# `MODEL="$$UNSET"` means some model; what a target does without any may be more than that.
NEVER_EMPTY := $(KNOWN) STORE MATTERZOO_STORE PYTHON
EMPTY := $(foreach name,$(filter $(NEVER_EMPTY),$(GIVEN)),$(if $(strip $(value $(name))),,$(name)))
ifneq ($(strip $(EMPTY)),)
$(error $(firstword $(EMPTY)) is given but empty: give it a value, or leave it out)
endif

# These are on or off. Whoever writes YES=0 means no; it must not pass for yes.
SWITCHES := $(filter YES OFFLINE NO_PROMPT AGAIN DUMMY NUMBERED UNCOMMITTED $(if $(filter matrix,$(GOALS)),,$(filter NODES,$(GIVEN))),$(KNOWN))
UNCLEAR := $(foreach name,$(SWITCHES),$(if $(value $(name)),$(if $(filter-out x1 xyes,x$(value $(name))),$(name))))
ifneq ($(strip $(UNCLEAR)),)
$(error $(firstword $(UNCLEAR))=$(value $(firstword $(UNCLEAR))): expected 1, or leave it out)
endif

# What a user gives is text, and no program of make's or the shell's: it is kept as it was typed, `$` and all, and
# recipes get at it as "$$NAME", through the environment.
TEXT := $(sort $(KNOWN) $(GIVEN) PYTHON MATTERZOO_STORE)
define keep
override $(1) := $$(value $(1))
export $(1)
endef
$(foreach name,$(TEXT),$(if $(filter undefined default,$(origin $(name))),,$(eval $(call keep,$(name)))))

export PYTHON ?= python3
override MATTERZOO_STORE := $(or $(if $(filter STORE,$(GIVEN)),$(STORE)),$(MATTERZOO_STORE),matter.duckdb)
export MATTERZOO_STORE

# uv reads its own variables; a machine set up for pip (mirror, folder of wheels) is set up for uv too.
ifdef PIP_INDEX_URL
export UV_INDEX_URL ?= $(PIP_INDEX_URL)
endif
ifdef PIP_FIND_LINKS
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
endif
# `auto` takes PyTorch's CPU build where there is no GPU driver. A folder of wheels of one's own decides for itself.
TORCH_BACKEND := $(if $(MATTERZOO_TORCH_BACKEND),$(MATTERZOO_TORCH_BACKEND),$(if $(UV_FIND_LINKS),,auto))

# .venv is ours to write bytecode to; without it every command starts seconds later.
unexport PYTHONDONTWRITEBYTECODE
# See NO_SPINNING in zoo/variables.py.
export OMP_WAIT_POLICY ?= PASSIVE

given = $(if $($(1)),,$(error $(1) is missing: $(2)))
either = $(if $(and $($(1)),$($(2))),$(error make $@ takes $(1) or $(2), not both: give one of them))
flag  = $(if $($(1)),--$(2)="$$$(1)")
# These are no rare names: in the environment they mean something else, such as WSL's host by NAME.
typed = $(if $(filter $(1),$(GIVEN)),$(call flag,$(1),$(2)))
own = $(call typed,NAME,name) $(if $(NUMBERED),--numbered)
cluster = $(call typed,ON,on) $(call typed,PARTITION,partition) $(call typed,ACCOUNT,account) $(call typed,TIME,time) \
    $(call typed,AT_ONCE,at-once) $(call typed,PER_TASK,per-task) $(call typed,SBATCH,sbatch) \
    $(call typed,ADDRESS,address)
options = $(own) $(call flag,DEVICE,device) $(call flag,DTYPE,dtype) $(call flag,BATCH,batch) $(call flag,LIMIT,limit) \
    $(call flag,RUNTIME,runtime) $(call flag,REPRESENTATION,representation) $(if $(filter NODES,$(GIVEN)),--nodes)

help:  ## show this
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | awk -F'\t' '{printf "  make %-11s %s\n", $$1, $$2}'

# What people type.

demo: install  ## embed crystals, molecules and proteins with models that need no download, and show how alike these are
	@$(MATTERZOO) ingest demo aflow,g2,proteins
	@$(MATTERZOO) query alignment_matrix_text aflow
	@$(MATTERZOO) query alignment_matrix_text g2,proteins k=10
	@echo
	@echo 'Next:'
	@echo "  make query SQL=\"FROM nearest_models('chgnet-0.3.0', dataset := 'aflow')\""
	@echo '  make report DATASET=aflow,g2,proteins            figures and findings, one page to open in a browser'
	@echo '  make shell                                       a SQL prompt; .help lists the functions'
	@echo '  make ingest MODEL=sevennet-0 DATASET=elements    another dataset (`make datasets` lists them)'
	@echo '  make ingest MODEL=my-model DATASET=aflow VECTORS=my-vectors.parquet'

ingest: install  ## MODEL=… DATASET=name|file|folder|'glob' [NAME= DEVICE= DTYPE= BATCH= LIMIT= RUNTIME= MEMORY= CPUS= TIMEOUT= REPRESENTATION= NODES=1 VECTORS= IDS= NUMBERED=1 TITLE= LICENSE= YES=1] [ON=slurm PARTITION= ACCOUNT= TIME= AT_ONCE= PER_TASK= SBATCH=] [ON=ray ADDRESS= AT_ONCE= PER_TASK=]
	$(call given,MODEL,make ingest MODEL=chgnet-0.3.0 DATASET=aflow)
	$(call given,DATASET,make ingest MODEL=$(MODEL) DATASET=aflow)
	@$(MATTERZOO) ingest $(options) $(cluster) $(call flag,MEMORY,memory) $(call flag,CPUS,cpus) \
	    $(call flag,TIMEOUT,timeout) $(call flag,VECTORS,vectors) $(call flag,IDS,ids) $(call flag,TITLE,title) \
	    $(call flag,LICENSE,license) $(if $(YES),--yes) -- "$$MODEL" "$$DATASET"

query: install  ## run SQL="…" on the store [FORMAT=csv|json|parquet OUT=file]
	$(call given,SQL,make query SQL="FROM models")
	@$(MATTERZOO) query $(call flag,FORMAT,format) $(call flag,OUT,out) -- "$$SQL"

shell: install  ## a SQL prompt with history and completion
	@$(MATTERZOO) shell

report: install  ## the figures of DATASET=a,b as one page, with their data and SQL [OUT=report]
	$(call given,DATASET,make report DATASET=aflow)
	@$(MATTERZOO) report -- "$$DATASET" $(if $(OUT),"$$OUT")

site: install  ## a page per model, pair and dataset of DATASET=a,b, for any web host [OUT=site TITLE= NO_PROMPT=1]
	$(call given,DATASET,make site DATASET=aflow)
	@$(MATTERZOO) site $(call flag,TITLE,title) $(if $(NO_PROMPT),--no-prompt) -- "$$DATASET" $(if $(OUT),"$$OUT")

serve: install  ## a SQL prompt on the store as a page in the browser, read-only [ADDRESS= PORT= PAGES=report]
	@$(MATTERZOO) serve $(call flag,ADDRESS,address) $(call flag,PORT,port) $(call flag,PAGES,pages)

test: demo-envs  ## everything that needs no GPU, network or container engine
	@$(MAKE) --no-print-directory -j 2 lint suite

suite: install  # the tests of `make test`: many wait for processes that they start, hence two more than cores
	@$(PY) -m pytest -m "not gpu and not cluster and not container and not family and not environment and not browser" \
	    -n $$(( $$(getconf _NPROCESSORS_ONLN) + 2 )) --dist loadfile --no-loadscope-reorder

bench: demo-envs  ## speed and memory, as ratios in one run
	@$(PY) -m tests.bench

# The rest, as in `matterzoo --help`.

install: .venv/installed  ## set up the host environment in .venv (about 2.4 GB)

.venv/installed: pyproject.toml requirements.lock
	@"$$PYTHON" -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and f"Python {v[0]}.{v[1]} is too old: matterzoo needs 3.11 or newer. Try: make PYTHON=python3.12 …")'
	@echo "Setting up .venv: about 2.4 GB on disk, once."
	@"$$PYTHON" -m venv .venv
	@$(PY) -m pip install --quiet --disable-pip-version-check "$$(grep -o '^uv==[0-9.]*' requirements.lock)"
	@$(PY) -m uv pip install --quiet --python $(PY) $(if $(TORCH_BACKEND),--torch-backend $(TORCH_BACKEND)) \
	    --constraints requirements.lock --editable '.[test]'
	@touch $@

account: demo  ## embed what the accounts in docs are about, and compare their numbers (three quarters of an hour more)
	@$(PY) -m tests.query.embed_accounts
	@$(PY) -m pytest tests/query/test_account.py

list: install  ## every model: family, input, dimension, weights, when checked, license
	@$(MATTERZOO) list

info: install  ## one model's card: MODEL=…
	$(call given,MODEL,make info MODEL=chgnet-0.3.0)
	@$(MATTERZOO) info -- "$$MODEL"

weights: install  ## download the weights of MODEL=a,b|all, verify them, and record what nobody has yet [YES=1]
	$(call given,MODEL,make weights MODEL=esm2-8m)
	@$(MATTERZOO) weights $(if $(YES),--yes) -- "$$MODEL"

pin: install  ## for maintainers: download the weights of MODEL=a,b|all (or the files of DATASET=…) once and record their hashes [AGAIN=1]
	$(call either,MODEL,DATASET)
	$(if $(DATASET),,$(call given,MODEL,make pin MODEL=esm2-8m))
	@$(MATTERZOO) pin $(call flag,DATASET,dataset) $(if $(AGAIN),--again) $(if $(MODEL),-- "$$MODEL")

datasets: install  ## the datasets: size, license, what is to be downloaded
	@$(MATTERZOO) datasets

plan: install  ## what an ingest will take, before it starts: MODEL=… DATASET=… [as for ingest]
	$(call given,MODEL,make plan MODEL=chgnet-0.3.0 DATASET=aflow)
	$(call given,DATASET,make plan MODEL=$(MODEL) DATASET=aflow)
	@$(MATTERZOO) plan $(options) $(cluster) -- "$$MODEL" "$$DATASET"

matrix: install  ## alignments of all pairs over DATASET=… by several processes, for alignment_matrix to find [METRIC=cknna MODELS= ROWS=all|n K= ESTIMATOR= NORMALIZE= PERMUTATIONS= SUBSAMPLES= SEED= MISSING= DEVICE= NODES=1] [ON=slurm PARTITION= ACCOUNT= TIME= SBATCH=] [ON=ray ADDRESS= CPUS=]
	$(call given,DATASET,make matrix DATASET=aflow METRIC=cka)
	@$(MATTERZOO) matrix $(call flag,METRIC,metric) $(call flag,MODELS,models) $(call flag,ROWS,rows) $(call flag,K,k) \
	    $(call flag,ESTIMATOR,estimator) $(call flag,NORMALIZE,normalize) $(call flag,PERMUTATIONS,permutations) \
	    $(call flag,SUBSAMPLES,subsamples) $(call flag,SEED,seed) $(call flag,MISSING,missing) $(call flag,DEVICE,device) \
	    $(call typed,ON,on) $(call typed,NODES,nodes) $(call typed,PARTITION,partition) $(call typed,ACCOUNT,account) \
	    $(call typed,TIME,time) $(call typed,SBATCH,sbatch) $(call typed,ADDRESS,address) $(call flag,CPUS,cpus) -- "$$DATASET"

nearest: install  ## embed FILE=mine.cif|'SMILES'|sequence with MODEL=…, and list what it sees as most like it [DATASET= K=10 NAME= NUMBERED=1 DEVICE= DTYPE= RUNTIME= FORMAT=csv|json OUT= YES=1]
	$(call given,MODEL,make nearest MODEL=chgnet-0.3.0 FILE=mine.cif DATASET=aflow)
	$(call given,FILE,make nearest MODEL=$(MODEL) FILE=mine.cif DATASET=aflow)
	@$(MATTERZOO) nearest $(own) $(call flag,K,k) $(call flag,DEVICE,device) $(call flag,DTYPE,dtype) \
	    $(call flag,RUNTIME,runtime) $(call flag,FORMAT,format) $(call flag,OUT,out) $(if $(YES),--yes) \
	    -- "$$MODEL" "$$FILE" $(if $(DATASET),"$$DATASET")

status: install  ## how far the jobs are that an ingest or a matrix has submitted to a cluster
	@$(MATTERZOO) status

cancel: install  ## cancel the jobs that an ingest or a matrix has submitted to a cluster; what is computed stays
	@$(MATTERZOO) cancel

publish: install  ## push the vectors of MODEL=… over DATASET=… to REPO=owner/name of a hub [REPRESENTATION=]
	$(call given,MODEL,make publish MODEL=chgnet-0.3.0 DATASET=aflow REPO=owner/name)
	$(call given,DATASET,make publish MODEL=$(MODEL) DATASET=aflow REPO=owner/name)
	$(call given,REPO,make publish MODEL=$(MODEL) DATASET=$(DATASET) REPO=owner/name)
	@$(MATTERZOO) publish $(call flag,REPRESENTATION,representation) -- "$$MODEL" "$$DATASET" "$$REPO"

fetch: install  ## load published vectors: MODEL=a,b|all DATASET=… REPO=owner/name [REVISION= REPRESENTATION= LIMIT=]
	$(call given,MODEL,make fetch MODEL=all DATASET=aflow REPO=owner/name)
	$(call given,DATASET,make fetch MODEL=$(MODEL) DATASET=aflow REPO=owner/name)
	$(call given,REPO,make fetch MODEL=$(MODEL) DATASET=$(DATASET) REPO=owner/name)
	@$(MATTERZOO) fetch $(call flag,REVISION,revision) $(call flag,REPRESENTATION,representation) \
	    $(call flag,LIMIT,limit) -- "$$MODEL" "$$DATASET" "$$REPO"

export: install  ## write the store to one DuckDB file that every client reads: FILE=…
	$(call given,FILE,make export FILE=all.duckdb)
	@$(MATTERZOO) export -- "$$FILE"

import: install  ## take such a file into the store; adds, and replaces nothing: FILE=…
	$(call given,FILE,make import FILE=all.duckdb)
	@$(MATTERZOO) import -- "$$FILE"

export-systems: install  ## the systems of DATASET=… as FILE=….extxyz|csv|fasta|parquet, to embed them elsewhere [NAME= NUMBERED=1 LIMIT=]
	$(call given,DATASET,make export-systems DATASET=aflow FILE=aflow.extxyz)
	$(call given,FILE,make export-systems DATASET=$(DATASET) FILE=systems.extxyz)
	@$(MATTERZOO) export-systems $(own) $(call flag,LIMIT,limit) -- "$$DATASET" "$$FILE"

rebuild: install  ## make the store again from its runs
	@$(MATTERZOO) rebuild

migrate: install  ## bring a store of an earlier version into the form of today; nothing is computed
	@$(MATTERZOO) migrate

du: install  ## what takes how much disk
	@$(MATTERZOO) du

clean: install  ## remove the vectors and runs of MODEL=a,b [DATASET=a,b]; without MODEL, our images and containers [FAMILY=] [YES=1]
	$(if $(DATASET),$(call given,MODEL,make clean MODEL=chgnet-0.3.0 DATASET=aflow))
	$(call either,MODEL,FAMILY)
	@$(MATTERZOO) clean $(if $(MODEL),,--images="$${FAMILY:-all}") $(if $(YES),--yes) \
	    $(if $(MODEL),-- "$$MODEL") $(if $(DATASET),"$$DATASET")

clean-cache: install  ## remove the neighbor lists kept from earlier questions; the next finds them again
	@$(MATTERZOO) clean --cache

env: install  ## build a family's local environment from its lock: FAMILY=…|bundled|demo|all
	$(call given,FAMILY,make env FAMILY=chgnet)
	@$(MATTERZOO) env -- "$$FAMILY"

images: install  ## each family's container image: here, published, stale
	@$(MATTERZOO) images

build: install  ## build the image of FAMILY=… [BASE= BUILDER= TORCH=cpu|cu126|… OFFLINE=1]
	$(call given,FAMILY,make build FAMILY=chgnet)
	@$(MATTERZOO) build $(call flag,BASE,base) $(call flag,BUILDER,builder) $(call flag,TORCH,torch) \
	    $(if $(OFFLINE),--offline) -- "$$FAMILY"

push: install  ## push the image of FAMILY=… to REGISTRY=… and record its digest in zoo/images.lock [UNCOMMITTED=1]
	$(call given,REGISTRY,make push FAMILY=$(or $(FAMILY),chgnet) REGISTRY=ghcr.io/owner)
	@$(MATTERZOO) push $(if $(UNCOMMITTED),--uncommitted) -- "$${FAMILY:-all}" "$$REGISTRY"

pull: install  ## pull the published image of FAMILY=… or MODEL=…, by its digest
	$(call either,MODEL,FAMILY)
	@$(MATTERZOO) pull $(call flag,MODEL,model) $(if $(MODEL),,-- "$${FAMILY:-all}")

save: install  ## write the image of FAMILY=… to a file, for a cluster without Docker
	$(call given,FAMILY,make save FAMILY=chgnet)
	@$(MATTERZOO) save -- "$$FAMILY"

wheels: install  ## download what the image of FAMILY=… is built from; then OFFLINE=1 builds without a network
	$(call given,FAMILY,make wheels FAMILY=chgnet)
	@$(MATTERZOO) wheels -- "$$FAMILY"

check-image: install  ## do the models of FAMILY=… give their golden vectors inside the image? [RUNTIME=apptainer]
	$(call given,FAMILY,make check-image FAMILY=chgnet)
	@$(MATTERZOO) check-image $(call flag,RUNTIME,runtime) -- "$$FAMILY"

doctor: install  ## what can this machine run models with, and what is missing for the rest?
	@$(MATTERZOO) doctor

lock: install  ## resolve requirements.in of FAMILY=… into its lock
	$(call given,FAMILY,make lock FAMILY=chgnet)
	@$(MATTERZOO) lock -- "$$FAMILY"

check: install  ## are all cards valid, or those of FAMILY=a,b? MODEL=…: does that model behave as its card says? [DEVICE= DUMMY=1]
	@$(MATTERZOO) check $(call flag,FAMILY,family) $(call flag,DEVICE,device) $(if $(DUMMY),--dummy) $(if $(MODEL),-- "$$MODEL")

paper: install  ## the 59 rows of the paper's table: what of each is here, and how far it was tried
	@$(PY) -m tests.paper

bundled-envs: install  # the environments of the families with a model that needs no download
	@$(MATTERZOO) env bundled

demo-envs: install  # the environments of the families that `make demo` embeds with
	@$(MATTERZOO) env demo

test-browser: install  ## the tests that open pages as a reader does: Chromium (or Chrome) and Firefox
	@$(PY) -m pytest -m browser -n 2 --dist loadfile tests/query

test-containers: install  ## the tests that need a container engine [MATTERZOO_BASE=]; those of images need `make wheels`
	@$(PY) -m pytest -m container $$TESTS

test-cluster: install  ## the tests that run a real Slurm and a real Ray on this host: root, Debian's slurmctld slurmd slurm-client munge
	@$(PY) -m pytest -m cluster -n 3 --dist worksteal tests/ingest/cluster --ignore tests/ingest/cluster/ray
	@$(PY) -m pytest -m cluster tests/ingest/cluster/ray

test-families: bundled-envs  ## the tests that run the families' packages: does each model behave as its card says?
	@$(PY) -m pytest -m "family or environment" zoo/families tests/zoo/verify

test-gpu: bundled-envs  ## the tests that need an NVIDIA GPU
	@$(PY) -m pytest -m gpu

lint: install  ## style and types
	@$(PY) -m ruff check .
	@$(PY) -m mypy

host-lock: install  ## resolve pyproject.toml's ranges into requirements.lock, what `make install` takes
	@$(PY) -m uv pip compile --quiet --universal --no-annotate --no-header --extra test --extra ray pyproject.toml -o requirements.lock

package: install  ## build the wheel and the source distribution into dist/
	@$(PY) -m uv build --quiet --out-dir dist
