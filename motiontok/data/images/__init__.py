"""Images: MNIST, CIFAR-10, ImageNet, and any folder of pictures."""

from motiontok.data.images.arrays import ImageArrays
from motiontok.data.images.cifar import load_cifar10
from motiontok.data.images.fidelity import errors_of, psnr, ssim
from motiontok.data.images.files import ImageFile, ImageFiles, find_images, tar_images
from motiontok.data.images.layouts import find_imagenet, find_pictures
from motiontok.data.images.mnist import load_mnist, read_idx
from motiontok.data.images.opening import (
    image_shape,
    open_image_files,
    open_image_set,
    pixels_of,
)
from motiontok.data.images.order import ShuffledOrder
from motiontok.data.images.pictures import Crop, centre_crop, is_picture, open_picture, random_crop
from motiontok.data.images.pixels import BINARY, CIFAR10, IMAGENET, Pixels
from motiontok.data.images.sets import ArraySet, ImageSet, PictureSet
from motiontok.data.images.stream import PictureStream, Skipped, decode_all, load_square

__all__ = [
    "BINARY",
    "CIFAR10",
    "IMAGENET",
    "ArraySet",
    "Crop",
    "ImageArrays",
    "ImageFile",
    "ImageFiles",
    "ImageSet",
    "PictureSet",
    "PictureStream",
    "Pixels",
    "ShuffledOrder",
    "Skipped",
    "centre_crop",
    "decode_all",
    "errors_of",
    "find_imagenet",
    "find_images",
    "find_pictures",
    "image_shape",
    "is_picture",
    "load_cifar10",
    "load_mnist",
    "load_square",
    "open_image_files",
    "open_image_set",
    "open_picture",
    "pixels_of",
    "psnr",
    "random_crop",
    "read_idx",
    "ssim",
    "tar_images",
]
