"""The page's server: health, safe settings, and files that are none of its business."""

from __future__ import annotations

import gc
import json
import socket
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from gradio.route_utils import delete_files_created_by_app
from gradio.routes import App
from numpy.typing import NDArray
from starlette.routing import Mount

import images
from export.bundle import Bundle
from export.runtimes import Runtime
from serve import fragments, server
from serve.choices import Choices
from serve.page import layout
from serve.palette import shares
from serve.predictor import Predictor
from serve.service import Service

HIDDEN = "The file was not uploaded here: choose it again."


@contextmanager
def loops_left_open() -> Iterator[None]:
    """Gradio drops the event loops it builds a page with, unclosed: collect them unseen."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        yield
        gc.collect()


@pytest.fixture(scope="module")
def served(tiny_service: Service) -> FastAPI:
    with loops_left_open():
        return server.create_app([tiny_service])


@pytest.fixture(scope="module")
def client(served: FastAPI) -> Iterator[TestClient]:
    with TestClient(served) as client:
        yield client


def ask(client: TestClient, picture: object) -> dict[str, object]:
    """What the page's first handler answers to any value of its picture."""
    data = [picture, "onnxruntime fp32"]
    change = {"data": data, "fn_index": handler(client, "show"), "session_hash": "test"}
    assert client.post("/gradio_api/queue/join", json=change).status_code == 200
    answer = client.get("/gradio_api/queue/data", params={"session_hash": "test"}).text
    lines = [json.loads(line[6:]) for line in answer.splitlines() if line.startswith("data: ")]
    done: dict[str, object] = next(m for m in lines if m["msg"] == "process_completed")["output"]
    return done


def put(client: TestClient, pixels: NDArray[np.uint8]) -> Path:
    """A picture uploaded as the page does it; where Gradio keeps it."""
    files = {"files": ("scene.png", images.encode_png(pixels))}
    return Path(client.post("/gradio_api/upload", files=files).json()[0])


def handler(client: TestClient, name: str) -> int:
    handlers = client.get("/config").json()["dependencies"]
    return int(next(h["id"] for h in handlers if h["api_name"] == name))


def test_health(client: TestClient) -> None:
    answer = client.get("/healthz")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ok"}


def test_the_page_leaves_the_api_its_errors(client: TestClient) -> None:
    for method, path, status in (("GET", "segment", 405), ("POST", "none", 404)):
        answer = client.request(method, f"/v1/{path}")
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"


def test_the_page_and_the_api_wait_in_one_queue(
    client: TestClient, tiny_service: Service, scene: NDArray[np.uint8]
) -> None:
    path = put(client, scene[1:])
    with ExitStack() as stack:
        for _ in range(tiny_service.owner.limits.places):
            stack.enter_context(tiny_service.owner.admit())
        refused = client.post("/v1/segment", content=images.encode_png(scene))
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        answer = ask(client, {"path": str(path), "meta": {"_type": "gradio.FileData"}})["data"]
    assert isinstance(answer, list)
    assert answer[0] == fragments.alert(refused.json()["detail"])


def test_the_page_loads_nothing_from_outside(client: TestClient) -> None:
    page = client.get("/")
    assert page.status_code == 200
    assert "fonts.googleapis" not in page.text
    assert client.get("/docs").status_code == 404


def test_safe_settings(client: TestClient) -> None:
    config = client.get("/config").json()
    assert config["analytics_enabled"] is False
    assert config["run_history"] is False
    assert config["max_file_size"] == images.MAX_BYTES
    assert {h["api_visibility"] for h in config["dependencies"]} == {"private"}
    assert client.get("/gradio_api/info").json()["named_endpoints"] == {}
    assert client.get("/monitoring").status_code in (403, 404)


def test_safe_settings_of_the_blocks(tiny_service: Service) -> None:
    with loops_left_open():
        page = layout.layout(Choices([tiny_service]))
    assert page.has_launched
    assert page.api_open is False
    assert page.delete_cache == (300, 900)
    assert page.state_session_capacity == layout.SESSIONS
    assert page._queue.max_size == layout.WAITING
    limits = {fn.concurrency_id: fn.concurrency_limit for fn in page.fns.values()}
    assert (limits["pictures"], limits["video"]) == (2, 1)


def test_what_can_be_taken_away_is_what_was_computed(
    client: TestClient,
    tmp_path: Path,
    scene: NDArray[np.uint8],
    tiny_bundle: Bundle,
    tiny_runtime: Runtime,
) -> None:
    path = put(client, scene)
    assert path.read_bytes() == images.encode_png(scene)
    answer = ask(client, {"path": str(path), "meta": {"_type": "gradio.FileData"}})["data"]
    assert isinstance(answer, list)
    labels = Predictor(tiny_bundle, tiny_runtime)(scene)
    files = [
        client.get("/gradio_api/file=" + shown["value"]["path"]).content for shown in answer[2:]
    ]
    (tmp_path / "labels.png").write_bytes(files[0])
    assert np.array_equal(images.read_labels(tmp_path / "labels.png"), labels)
    palette = np.array(tiny_bundle.manifest.palette, np.uint8)
    assert np.array_equal(images.decode(files[1]), palette[labels])
    document = json.loads(files[3])
    found = {row["index"]: row["share"] for row in document["classes"]}
    assert found == dict(enumerate(shares(labels, 4)))
    assert (document["height"], document["width"]) == (120, 200)
    assert {"read", "resize", "infer", "draw", "queue"} == set(document["milliseconds"])
    assert fragments.legend(tiny_bundle.manifest, shares(labels, 4)) in answer[1]


def test_what_visitors_leave_is_deleted_and_examples_stay(
    served: FastAPI, client: TestClient, scene: NDArray[np.uint8]
) -> None:
    path = put(client, scene[::-1])
    answer = ask(client, {"path": str(path), "meta": {"_type": "gradio.FileData"}})["data"]
    assert isinstance(answer, list)
    left = [path, *(Path(shown["value"]["path"]) for shown in answer[2:])]
    assert all(file.exists() for file in left)
    mounts = [route.app for route in served.routes if isinstance(route, Mount)]
    page = next(mounted for mounted in mounts if isinstance(mounted, App))
    delete_files_created_by_app(page.get_blocks(), None)
    assert not any(file.exists() for file in left)
    example = next(c for c in client.get("/config").json()["components"] if c["type"] == "dataset")
    assert client.get(example["props"]["samples"][0][0]["url"]).status_code == 200


@pytest.mark.parametrize("marked", [True, False])
def test_no_file_of_this_machine_is_read(
    client: TestClient, tmp_path: Path, scene: NDArray[np.uint8], marked: bool
) -> None:
    (tmp_path / "private.png").write_bytes(images.encode_png(scene))
    meta = {"meta": {"_type": "gradio.FileData"}} if marked else {}
    answer = ask(client, {"path": str(tmp_path / "private.png"), **meta})
    refused = answer.get("data", [fragments.alert(HIDDEN)])
    assert isinstance(refused, list)
    assert refused[0] == fragments.alert(HIDDEN)
    assert client.get(f"/gradio_api/file={tmp_path / 'private.png'}").status_code == 403


def test_an_upload_larger_than_the_limit_is_refused(client: TestClient) -> None:
    data = bytes(images.MAX_BYTES + 1)
    answer = client.post("/gradio_api/upload", files={"files": ("large.png", data)})
    assert answer.status_code == 413


def test_names_are_escaped(tiny_bundle: Bundle, tiny_runtime: Runtime) -> None:
    header = fragments.header("<tiny>", tiny_bundle.manifest, tiny_runtime.facts)
    assert "<tiny>" not in header
    assert "Tiny &lt;streets&gt;" in header
    assert "val mIoU 71.2 %" in header
    assert "<b>" not in fragments.alert("<b>")


def test_the_legend_is_ranked_and_names_every_class(tiny_bundle: Bundle) -> None:
    legend = fragments.legend(tiny_bundle.manifest, [0.2, 0.7, 0, 0.0001])
    places = [legend.index(name) for name in ("road", "sky", "car", "Not in", "tree")]
    assert places == sorted(places)
    assert "70.0 %" in legend
    assert "&lt; 0.1 %" in legend


def test_a_taken_port_is_an_error_that_says_what_to_do(tiny_bundle: Bundle) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(ValueError, match="choose another with --port"),
    ):
        server.listen("127.0.0.1", taken.getsockname()[1])
    assert server.address("0.0.0.0", 80) == "http://127.0.0.1:80"
