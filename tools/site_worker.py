"One notebook through nbdev's processing, in a process of `build_site.py`: a module of its own, because the cells of a notebook replace `__main__`."
import time

def work(src, dst):
    "Process a notebook; how many seconds it took."
    import nbdev.serve_drv
    from nbdev.processors import FilterDefaults
    t0 = time.time(); nbdev.serve_drv.main((src, dst, FilterDefaults)); return time.time()-t0
