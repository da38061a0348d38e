"""Memory of freed tensors is kept by the process, so that the next one finds it ready."""

import ctypes

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # malloc.h


def keep_freed_memory() -> None:
    """Tell the C library not to give freed memory back to the system.

    glibc maps every block above 32 MiB anew, and the system fills it with zeros page by page: for
    a feature map of 39 MiB that takes seven times as long as writing it. The process then stays as
    large as it ever was. Without glibc nothing happens; numbers do not depend on it.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(_MMAP_MAX, 0)
    mallopt(_TRIM_THRESHOLD, 2**31 - 1)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory is full: Python's own, or one of torch's many wordings."""
    words = ("out of memory", "allocate memory", "not enough memory")
    return isinstance(error, MemoryError) or any(word in str(error).lower() for word in words)
