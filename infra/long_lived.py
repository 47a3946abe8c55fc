"""Long-running processes and Python's garbage collector, which took a fifth of a drain's or a preview's time."""

import gc

#: Objects made, less those gone again, before the collector looks at the youngest: more than one batch leaves behind.
_YOUNG_MAX = 50_000


def spare_what_is_loaded() -> None:
    """Call once everything is imported and before work begins: what there is by now is never looked at again.

    What references count is freed at once as before; the collector is for circles, and batches make few of those.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_MAX, 20, 50)
