"""The API over a real server: answers, problems, limits of what is sent, health and metrics."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from numpy.typing import NDArray

import images
from export.bundle import Bundle
from export.runtimes import Runtime
from serve.api import rest
from serve.palette import overlay, shares
from serve.predictor import Predictor
from serve.problems import Problem
from serve.service import Engine, Service, called, opened
from serve.uploads import Uploads

Running = Callable[[FastAPI], AbstractContextManager[tuple[str, int]]]
Scene = NDArray[np.uint8]
OTHER = {"wall": (200, 0, 0), "floor": (0, 200, 0)}
CANARY = "../../etc/canary<script>"


@pytest.fixture(scope="module")
def client(
    tiny_service: Service, colour_bundle: Callable[..., Bundle], running: Running
) -> Iterator[httpx.Client]:
    """A client of a server of two models."""
    other = f"other={colour_bundle(OTHER).path}"
    with (
        opened([other], Engine(threads=1)) as services,
        running(rest([tiny_service, *services])) as (host, port),
        httpx.Client(base_url=f"http://{host}:{port}", timeout=30) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def labels(tiny_bundle: Bundle, tiny_runtime: Runtime, scene: Scene) -> NDArray[np.uint8]:
    return Predictor(tiny_bundle, tiny_runtime)(scene)


def read_labels(data: bytes, folder: Path) -> NDArray[np.uint8]:
    (folder / "mask.png").write_bytes(data)
    return images.read_labels(folder / "mask.png")


@pytest.mark.parametrize("kind", ["image/png", "application/x-www-form-urlencoded", None])
def test_a_body_gets_the_predictors_labels(
    client: httpx.Client, scene: Scene, labels: Scene, tmp_path: Path, kind: str | None
) -> None:
    headers = {} if kind is None else {"Content-Type": kind}
    answer = client.post("/v1/segment", content=images.encode_png(scene), headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    assert np.array_equal(read_labels(answer.content, tmp_path), labels)
    assert {"read", "wait", "total"} <= set(
        answer.headers["server-timing"].replace(";", " ").split()
    )


def test_a_form_gets_the_same(
    client: httpx.Client, scene: Scene, labels: Scene, tmp_path: Path
) -> None:
    files = {"image": (CANARY, images.encode_png(scene))}
    answer = client.post("/v1/segment", files=files, data={"note": "kept by nobody"})
    assert np.array_equal(read_labels(answer.content, tmp_path), labels)


def test_shares_are_those_of_the_labels(client: httpx.Client, scene: Scene, labels: Scene) -> None:
    answer = client.post("/v1/segment?output=shares", content=images.encode_png(scene)).json()
    assert (answer["model"], answer["height"], answer["width"]) == ("Tiny <streets>", 120, 200)
    found = {row["index"]: row["share"] for row in answer["classes"]}
    assert found == dict(enumerate(shares(labels, 4)))
    assert [row["share"] for row in answer["classes"]] == sorted(found.values(), reverse=True)


def test_an_overlay_is_the_pages(
    client: httpx.Client, scene: Scene, labels: Scene, tiny_bundle: Bundle
) -> None:
    wanted = images.encode_jpeg(overlay(scene, labels, tiny_bundle.manifest.palette, 0.25))
    query = {"output": "overlay", "opacity": "0.25"}
    answer = client.post("/v1/segment", params=query, content=images.encode_png(scene))
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.content == wanted


def test_a_model_is_chosen_by_its_name(client: httpx.Client, scene: Scene) -> None:
    models = client.get("/v1/models").json()
    assert [model["name"] for model in models] == ["Tiny <streets>", "other"]
    assert models[1]["classes"] == list(OTHER)
    assert (models[0]["height"], models[0]["width"], models[0]["ready"]) == (48, 64, True)
    query = {"model": "other", "output": "shares"}
    answer = client.post("/v1/segment", params=query, content=images.encode_png(scene))
    assert {row["name"] for row in answer.json()["classes"]} == set(OTHER)


def test_health_readiness_and_metrics(client: httpx.Client, scene: Scene) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    ready = client.get("/readyz")
    assert (ready.status_code, ready.json()["models"]["other"]) == (200, True)
    count = 'segnas_answers_total{model="other",status="200"}'
    before = metric(client, count)
    client.post("/v1/segment?model=other", content=images.encode_png(scene))
    assert metric(client, count) == before + 1
    assert metric(client, 'segnas_engine_seconds_count{model="other"}') >= 2
    assert metric(client, 'segnas_places_taken{model="other"}') == 0


def metric(client: httpx.Client, name: str) -> float:
    lines = client.get("/metrics").text.splitlines()
    return next((float(line.split()[-1]) for line in lines if line.startswith(name)), 0.0)


def test_the_description_says_what_there_is(client: httpx.Client) -> None:
    described = client.get("/openapi.json").json()
    segment = described["paths"]["/v1/segment"]["post"]
    assert set(segment["requestBody"]["content"]) == {
        "application/octet-stream",
        "multipart/form-data",
    }
    assert {"200", "413", "422", "503", "504"} <= set(segment["responses"])
    assert client.get("/docs").status_code == 404
    assert "http" not in json.dumps(described).replace("HTTP", "")


def parts(count: int, name: str = "image") -> bytes:
    part = f'--b\r\nContent-Disposition: form-data; name="{name}"; filename="x"\r\n\r\n0\r\n'
    return (part * count + "--b--\r\n").encode()


FORM = {"Content-Type": "multipart/form-data; boundary=b"}
GIF = b"GIF89a" + bytes(40)
MALFORMED = {
    "nothing": ({}, b"", "", 400),
    "no picture": ({}, CANARY.encode(), "", 422),
    "cut short": ({}, GIF, "", 422),
    "deep JSON": ({"Content-Type": "application/json"}, b"[" * 250_000, "", 422),
    "compressed": ({"Content-Encoding": "gzip"}, b"\x1f\x8b", "", 415),
    "no boundary": ({"Content-Type": "multipart/form-data"}, parts(1), "", 400),
    "long boundary": (
        {"Content-Type": f"multipart/form-data; boundary={'b' * 30_000}"},
        b"-",
        "",
        400,
    ),
    "another boundary": ({"Content-Type": "multipart/form-data; boundary=c"}, parts(1), "", 400),
    "many files": (FORM, parts(10_000), "", 400),
    "many fields": (FORM, parts(10_000).replace(b'; filename="x"', b""), "", 400),
    "no name": (FORM, parts(1).replace(b' name="image";', b""), "", 400),
    "no file": (FORM, parts(1).replace(b'; filename="x"', b""), "", 400),
    "empty file name": (FORM, parts(1).replace(b'"x"', b'""'), "", 422),
    "long file name": (FORM, parts(1).replace(b'"x"', b'"' + b"x" * 100_000 + b'"'), "", 400),
    "zero in a name": (FORM, parts(1, "a\0b"), "", 422),
    "an unfinished form": (FORM, parts(1)[:-12], "", 400),
    "a strange charset": (
        {"Content-Type": "multipart/form-data; boundary=b; charset=x"},
        parts(1),
        "",
        422,
    ),
    "unknown model": ({}, GIF, f"?model={CANARY}", 404),
    "long model": ({}, GIF, "?model=" + "x" * 300, 422),
    "unknown output": ({}, GIF, f"?output={CANARY}", 422),
    "opacity": ({}, GIF, "?opacity=2", 422),
    "opacity is no number": ({}, GIF, f"?opacity={CANARY}", 422),
    "opacity is not finite": ({}, GIF, "?opacity=nan", 422),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_what_is_malformed_is_a_problem(client: httpx.Client, case: str) -> None:
    headers, body, query, status = MALFORMED[case]
    answer = client.post(f"/v1/segment{query}", content=body, headers=headers)
    assert answer.status_code == status
    check_problem(answer)
    assert client.get("/healthz").status_code == 200


def check_problem(answer: httpx.Response) -> None:
    """RFC 9457, short, and without anything that was sent or that is the server's own."""
    assert answer.headers["content-type"] == "application/problem+json"
    assert len(answer.content) < 1000
    found = answer.json()
    assert set(found) == {"title", "status", "detail"}
    assert found["status"] == answer.status_code
    assert found["detail"].endswith(".")
    for secret in ("canary", "script", "Traceback", "serve/", str(Path.cwd()), "xxxx"):
        assert secret not in answer.text


@pytest.mark.parametrize(("method", "status"), [("GET", 405), ("PUT", 405), ("DELETE", 405)])
def test_another_method_is_a_problem(client: httpx.Client, method: str, status: int) -> None:
    answer = client.request(method, "/v1/segment")
    assert answer.status_code == status
    assert answer.headers["allow"] == "POST"
    check_problem(answer)


def test_another_path_is_a_problem(client: httpx.Client) -> None:
    answer = client.get("/v1/canary<script>")
    assert answer.status_code == 404
    check_problem(answer)


def test_a_mistake_of_ours_is_a_problem(
    tiny_service: Service, running: Running, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> bytes:
        raise RuntimeError(CANARY)

    monkeypatch.setattr(images, "encode_png", broken)
    with running(rest([tiny_service])) as (host, port):
        data = images.encode_jpeg(scene)
        answer = httpx.post(f"http://{host}:{port}/v1/segment", content=data, timeout=30)
    assert answer.status_code == 500
    check_problem(answer)


def test_20_mib_and_no_more(client: httpx.Client, scene: Scene) -> None:
    picture = images.encode_png(scene)
    exactly = picture + bytes(images.MAX_BYTES - len(picture))
    assert client.post("/v1/segment", content=exactly).status_code == 200
    assert client.post("/v1/segment", files={"image": exactly}).status_code == 200
    for answer in (
        client.post("/v1/segment", content=exactly + b"0"),
        client.post("/v1/segment", files={"image": exactly + b"0"}),
        client.post("/v1/segment", content=iter([exactly, b"0"])),  # no Content-Length
    ):
        assert answer.status_code == 413
        check_problem(answer)


def test_what_all_send_is_bounded_and_given_back(
    tiny_service: Service, running: Running, scene: Scene
) -> None:
    uploads = Uploads(held=100_000)
    with running(rest([tiny_service], uploads)) as (host, port):
        url = f"http://{host}:{port}/v1/segment"
        assert httpx.post(url, content=images.encode_png(scene), timeout=30).status_code == 200
        answer = httpx.post(url, content=bytes(100_001), timeout=30)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
        check_problem(answer)
        assert httpx.post(url, content=images.encode_png(scene), timeout=30).status_code == 200
    assert uploads.room == 100_000


def test_bundles_are_told_apart(tiny_bundle: Bundle) -> None:
    path = str(tiny_bundle.path)
    with pytest.raises(ValueError, match=r"are both called Tiny .*: call one otherwise"):
        called([path, path])
    assert [name for name, _ in called([path, f"b={path}"])] == ["Tiny <streets>", "b"]


def test_mutated_pictures_are_answered_or_refused(client: httpx.Client, scene: Scene) -> None:
    chance = np.random.default_rng(1)
    for whole in (images.encode_png(scene), images.encode_jpeg(scene)):
        for _ in range(50):
            data = np.frombuffer(whole, np.uint8).copy()
            places = chance.integers(0, len(data), chance.integers(1, 20))
            data[places] = chance.integers(0, 256, len(places), dtype=np.uint8)
            answer = client.post("/v1/segment", content=data.tobytes())
            assert answer.status_code in (200, 422)
            if answer.status_code == 422:
                check_problem(answer)


def test_the_readmes_client_works(client: httpx.Client, scene: Scene, tmp_path: Path) -> None:
    readme = (Path(images.__file__).parent / "README.md").read_text("utf-8")
    code = readme.partition("```python\n")[2].partition("```")[0]
    code = code.replace("http://127.0.0.1:7860", str(client.base_url).rstrip("/"))
    (tmp_path / "client.py").write_text(code)
    (tmp_path / "photo.jpg").write_bytes(images.encode_jpeg(scene))
    command = [sys.executable, "client.py"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert "'model': 'Tiny <streets>'" in ran.stdout


def test_a_refused_picture_is_gone_when_it_is_answered(client: httpx.Client) -> None:
    """Not when Python next looks for objects that know each other: pictures are large."""
    client.post("/v1/segment", content=b"no picture")
    gc.collect()
    gc.disable()
    try:
        for _ in range(5):
            assert client.post("/v1/segment", content=b"no picture").status_code == 422
        kinds = (images.BadImage, Problem)
        assert not [one for one in gc.get_objects() if issubclass(type(one), kinds)]
    finally:
        gc.enable()
