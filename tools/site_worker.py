"One notebook through nbdev's processing, in a process of `build_site.py`: a module of its own, because the cells of a notebook replace `__main__`."

import time


def work(src, dst):
    "Process a notebook; how many seconds it took."
    import nbdev.processors, nbdev.serve_drv

    names = nbdev.processors._def_names
    if names.__name__ != 'ours':

        def ours(
            cell, shown
        ):  # a helper of a page that is only read is no part of the API: no entry of its own
            return names(cell, shown) if {'export', 'exports'} & set(cell.directives_) else []

        nbdev.processors._def_names = ours
    t0 = time.time()
    nbdev.serve_drv.main((src, dst, nbdev.processors.FilterDefaults))
    return time.time() - t0
