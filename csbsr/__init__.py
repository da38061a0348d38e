"""Joint learning of blind super-resolution and crack segmentation, as a package and a book."""

__version__ = "0.1.0"
