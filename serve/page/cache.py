"""The cache: where Gradio keeps what visitors bring and what they may take away."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gradio.processing_utils import save_bytes_to_cache
from gradio.utils import get_upload_folder

import images

HIDDEN = "The file was not uploaded here: choose it again."


def folder() -> Path:
    """Gradio's, which is emptied of what is older than a quarter of an hour."""
    return Path(get_upload_folder()).resolve()


def uploaded(upload: object) -> Path:
    """Where Gradio put a file, by what a request says of it; ``BadImage`` where that is not so.

    A request may say anything and name any path, and only the cache is the page's.
    """
    path = Path(str(upload.get("path")) if isinstance(upload, Mapping) else "").resolve()
    if not path.is_relative_to(folder()):
        raise images.BadImage(HIDDEN)
    return path


def cached(data: bytes, name: str) -> str:
    path: str = save_bytes_to_cache(data, name, str(folder()))
    return path
