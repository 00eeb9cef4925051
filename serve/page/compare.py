"""The tab that compares: two engines on the same picture, and where they do not agree."""

from __future__ import annotations

from html import escape

import gradio as gr

import images
from images import resize_labels
from serve import fragments
from serve.choices import Choices
from serve.differences import differing, marked
from serve.page.cache import uploaded
from serve.page.picture import AT_A_TIME, Answer, answered, picture_input
from serve.queueing import Refused
from serve.viewer import jpeg


def tab(choices: Choices) -> None:
    """A picture and two choices above, what they say of it below."""
    message = gr.HTML(elem_id="compare-message", elem_classes="segnas-message")
    names = choices.names
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=280):
            picture = picture_input(choices, "both")
        with gr.Column(scale=1, min_width=240):
            sides = [
                gr.Dropdown(names, value=name, label=side, elem_id=f"side-{side}", filterable=False)
                for side, name in (("A", names[0]), ("B", names[min(1, len(names) - 1)]))
            ]
    result = gr.HTML(elem_id="comparison", elem_classes="segnas-html")
    gr.on(
        [picture.change, *(side.change for side in sides)],
        lambda upload, a, b: compared(choices, upload, a, b),
        [picture, *sides],
        [message, result],
        preprocess=False,
        concurrency_id="pictures",
        concurrency_limit=AT_A_TIME,
        trigger_mode="always_last",
        api_name="compare",
        api_visibility="private",
    )


def compared(choices: Choices, upload: object, *names: object) -> tuple[str, str]:
    """A message, or two overlays and what is different."""
    if upload is None:
        return "", ""
    try:
        path = uploaded(upload)
        a, b = (answered(choices.service(name), path) for name in names)
    except (images.BadImage, Refused) as error:
        return fragments.alert(str(error)), ""
    return "", comparison(a, b, [str(name) for name in names])


def comparison(a: Answer, b: Answer, names: list[str]) -> str:
    """Three pictures side by side, and the numbers."""
    manifests = a.service.bundle.manifest, b.service.bundle.manifest
    flags = differing(a.found.labels, b.found.labels, *(m.classes for m in manifests))
    view = a.found.view
    shown = resize_labels(flags.astype("uint8"), view.labels.shape).astype(bool)
    share = float(flags.mean())
    figures = [
        figure(jpeg(a.found.overlay), f"A: {names[0]}"),
        figure(jpeg(b.found.overlay), f"B: {names[1]}"),
        figure(jpeg(marked(view.pixels, shown)), f"Different: {percent(share)} of the picture"),
    ]
    return f'<div class="three">{"".join(figures)}</div>{numbers(a, b, share)}'


def percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def figure(source: str, caption: str) -> str:
    text = escape(caption)
    return f'<figure><img src="{source}" alt="{text}"><figcaption>{text}</figcaption></figure>'


def numbers(a: Answer, b: Answer, share: float) -> str:
    """What each took, and how much of the picture they see otherwise."""
    times = [answer.found.timing for answer in (a, b)]
    rows = [("different", percent(share).removesuffix(" %"), "%")]
    for side, took in zip("AB", times, strict=True):
        rows += [(f"{side}: infer", f"{took.infer:.1f}", "ms")]
        rows += [(f"{side}: all", f"{sum(vars(took).values()):.1f}", "ms")]
    return fragments.tiles([*rows, ("A : B, infer", f"{times[0].infer / times[1].infer:.2f}", "x")])
