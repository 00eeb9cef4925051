"""The cache: where Gradio keeps what visitors bring and what they may take away."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gradio.processing_utils import save_bytes_to_cache
from gradio.utils import get_upload_folder

import images

Upload = Mapping[str, object]
"""What Gradio knows of an uploaded file; ``path`` is where its bytes are."""
HIDDEN = "The file was not uploaded here: choose it again."


def folder() -> Path:
    """Gradio's, which is emptied of what is older than a quarter of an hour."""
    return Path(get_upload_folder()).resolve()


def uploaded(upload: Upload) -> Path:
    """Where Gradio put an upload: a request may name any path, and only its cache is the page's."""
    path = Path(str(upload.get("path"))).resolve()
    if not path.is_relative_to(folder()):
        raise images.BadImage(HIDDEN)
    return path


def cached(data: bytes, name: str) -> str:
    path: str = save_bytes_to_cache(data, name, str(folder()))
    return path
