"""Kernels over neighbor lists that hold all ties; see `query.engine.neighbors.lists`.

All of them take the arrays of one `NeighborLists`: `index` and `value` are (entries,), and the
list of number q has the entries begin[q] to begin[q + 1], the closest first. `slack` (lists,),
`relative` and `products` say which values tie.
"""

# mypy: allow-untyped-defs

import numpy as np

from query.engine.kernels.compiled import compiled, inlined


@inlined
def _reach(value, slack, relative, products):
    """Return the values between which others tie with this one: below and above."""
    if products:
        return value - slack, value + slack
    root = np.sqrt(value)
    wide = slack + relative * root
    return max(root - wide, 0.0) ** 2 if root > wide else -1.0, (root + wide) ** 2


@compiled
def _weigh(index, value, stop, owner, k, slack, relative, products):
    """Return how the first `stop` entries of a list count among the k nearest.

    These are how many surely do, how many do together with those tied, and the share of each tied
    entry; −1 if fewer than k others exist.
    """
    found, last, own = 0, -1, stop
    for s in range(stop):
        if index[s] == owner:
            own = s
        else:
            found += 1
            if found == k:
                last = s
                break
    if last < 0:
        return -1, stop, 0.0
    below, above = _reach(value[last], slack, relative, products)
    sure, end = last, last + 1
    while sure > 0 and below <= value[sure - 1] <= above:
        sure -= 1
    while end < stop and below <= value[end] <= above:
        own = end if index[end] == owner else own
        end += 1
    free = k - sure + (own < sure)
    tied = end - sure - (sure <= own < end)
    return sure, end, free / tied


@compiled
def cut_lists(
    index,
    value,
    begin,
    owner,
    number,
    which,
    k,
    slack,
    relative,
    products,
    out,
    out_value,
    length,
    sure,
    share,
):
    """Cut lists to k neighbors and their ties, among systems that have a new number.

    Args:
        index: The systems of all lists, (entries,).
        value: Their values, (entries,).
        begin: Where lists begin, (lists + 1,).
        owner: The new number of one system of each list, (lists,).
        number: The new number of every system, (n,); below 0 for systems that are left out.
        which: The lists that are cut, (w,).
        k: The number of neighbors.
        slack: See the module, (lists,).
        relative: See the module.
        products: Whether values are inner products; else they are squared distances.
        out: Room for the systems of all cut lists, int32.
        out_value: Room for their values, float64.
        length: Receives the length of each cut list, (w,).
        sure: Receives how many entries are surely among the k nearest, (w,); −1 if fewer than k
            systems are left.
        share: Receives the share of those that tie, (w,).

    Returns:
        The number of entries that were written.
    """
    at = 0
    for w in range(which.shape[0]):
        q = which[w]
        end = at
        for e in range(begin[q], begin[q + 1]):
            j = number[index[e]]
            if j >= 0:
                out[end] = j
                out_value[end] = value[e]
                end += 1
        sure[w], length[w], share[w] = _weigh(
            out[at:end], out_value[at:end], end - at, owner[q], k, slack[q], relative, products
        )
        at += length[w]
    return at


@compiled
def expand_lists(
    index,
    value,
    begin,
    which,
    own,
    members,
    offset,
    k,
    slack,
    relative,
    products,
    at,
    out,
    out_value,
    length,
):
    """Put systems in the place of distinct vectors, up to the k-th other system and its ties.

    Args:
        index: The vectors of all lists, (entries,).
        value: Their values, (entries,).
        begin: Where lists begin, (lists + 1,).
        which: The vector that each list belongs to, (lists,).
        own: The value of a vector with itself, (vectors,); a vector that several systems have is
            put into its own list at that value.
        members: The systems, sorted by their vector, (n,).
        offset: Where the systems of each vector begin in `members`, (vectors + 1,).
        k: The number of neighbors.
        slack: See the module, (lists,).
        relative: See the module.
        products: Whether values are inner products; else they are squared distances.
        at: Where each list begins in `out`, (lists,).
        out: Room for the systems; if it is empty, only `length` is written.
        out_value: Room for their values.
        length: Receives the length of each list, (lists,).
    """
    sign = -1.0 if products else 1.0
    for q in range(which.shape[0]):
        mine = which[q]
        size = offset[mine + 1] - offset[mine]
        waiting = size > 1
        e, others, end = begin[q], 0, 0
        far = np.inf
        while waiting or e < begin[q + 1]:
            if waiting and (e == begin[q + 1] or sign * own[mine] <= sign * value[e]):
                vector, its, new = mine, own[mine], size - 1
                waiting = False
            else:
                vector, its = index[e], value[e]
                new = offset[vector + 1] - offset[vector]
                e += 1
            if sign * its > far:
                break
            others += new
            if others >= k and far == np.inf:
                below, above = _reach(its, slack[q], relative, products)
                far = -below if products else above
            if out.shape[0] > 0:
                for m in range(offset[vector], offset[vector + 1]):
                    out[at[q] + end] = members[m]
                    out_value[at[q] + end] = its
                    end += 1
            else:
                end += offset[vector + 1] - offset[vector]
        length[q] = end


@compiled
def keep_near(index, value, begin, k, slack, relative, products, out, out_value, length):
    """Sort lists without their owners, and keep the k nearest and those that tie with the k-th.

    Args:
        index: The systems of all lists, (entries,), in any order within a list.
        value: Their values, (entries,).
        begin: Where lists begin, (lists + 1,).
        k: The number of neighbors; each list has at least so many.
        slack: See the module, (lists,).
        relative: See the module.
        products: Whether values are inner products; else they are squared distances.
        out: Room for the systems that are kept.
        out_value: Room for their values.
        length: Receives the length of each list, (lists,).

    Returns:
        The number of entries that were kept.
    """
    at = 0
    for q in range(begin.shape[0] - 1):
        names, values = index[begin[q] : begin[q + 1]], value[begin[q] : begin[q + 1]]
        order = np.argsort(-values) if products else np.argsort(values)
        below, above = _reach(values[order[k - 1]], slack[q], relative, products)
        end = at
        for s in order:
            if end >= at + k and not below <= values[s] <= above:
                break
            out[end] = names[s]
            out_value[end] = values[s]
            end += 1
        length[q] = end - at
        at = end
    return at
