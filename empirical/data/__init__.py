"""Data sets of images: read from files of many kinds, chosen from, reduced, split and scaled."""

from wildmiddle.empirical.data.conventions import DataWarning
from wildmiddle.empirical.data.dataset import DataSet, Images, load, load_images
from wildmiddle.empirical.data.source import DataError

__all__ = ["DataError", "DataSet", "DataWarning", "Images", "load", "load_images"]
