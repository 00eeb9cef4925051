// What the browser does itself: classes over a picture, and the camera.  It asks its own server only.
(() => {
  "use strict";
  const kept = { opacity: 0.55, cut: 0, hidden: new Set() };
  const unpacked = new WeakMap();

  // ---- the viewer: class numbers become colours, without a request

  // Gradio keeps the element of one picture for the next: what it holds decides, not which it is.
  async function labelsOf(viewer) {
    const packed = viewer.dataset.labels;
    if (unpacked.get(viewer)?.packed !== packed) {
      const bytes = Uint8Array.from(atob(packed), (c) => c.charCodeAt(0));
      const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
      const labels = new Uint8Array(await new Response(stream).arrayBuffer());
      unpacked.set(viewer, { packed, labels });
    }
    return unpacked.get(viewer).labels;
  }

  async function paint(viewer) {
    const packed = viewer.dataset.labels, labels = await labelsOf(viewer);
    if (viewer.dataset.labels !== packed) return;
    const canvas = viewer.querySelector("canvas");
    const width = Number(viewer.dataset.width), height = Number(viewer.dataset.height);
    const colours = new Uint32Array(256), little = new Uint8Array(colours.buffer);
    JSON.parse(viewer.dataset.palette).forEach((rgb, index) => {
      if (!kept.hidden.has(index)) little.set([...rgb, 255], 4 * index);
    });
    const drawn = new Uint32Array(labels.length);
    for (let i = 0; i < labels.length; i++) drawn[i] = colours[labels[i]];
    canvas.width = width;
    canvas.height = height;
    const pixels = new ImageData(new Uint8ClampedArray(drawn.buffer), width, height);
    canvas.getContext("2d").putImageData(pixels, 0, 0);
    viewer.dataset.painted = [...kept.hidden].join(" ") || "all";
  }

  function set(viewer, name, value) {
    kept[name] = value;
    viewer.style.setProperty("--" + name, value);
  }

  function slide(viewer) {
    for (const input of viewer.querySelectorAll("[data-sets]")) {
      input.value = kept[input.dataset.sets];
      set(viewer, input.dataset.sets, input.value);
    }
  }

  // A new picture is seen as the last one was: opacity, cut, and classes that were switched off.
  function settle(viewer) {
    slide(viewer);
    for (const box of viewer.closest(".result").querySelectorAll("[data-class]"))
      box.checked = !kept.hidden.has(Number(box.dataset.class));
    paint(viewer);
  }

  function toggle(box) {
    const index = Number(box.dataset.class);
    box.checked ? kept.hidden.delete(index) : kept.hidden.add(index);
  }

  const viewerOf = (element) => element.closest(".result").querySelector(".viewer");

  // The picture may stay and its labels change, or the other way round: the labels are watched.
  const settled = new WeakMap();
  new MutationObserver(() => {
    for (const viewer of document.querySelectorAll(".viewer[data-labels]")) {
      if (settled.get(viewer) === viewer.dataset.labels) continue;
      settled.set(viewer, viewer.dataset.labels);
      settle(viewer);
    }
  }).observe(document, { subtree: true, childList: true, attributeFilter: ["data-labels"] });

  document.addEventListener("input", ({ target }) => {
    if (target.dataset?.sets) set(target.closest(".viewer"), target.dataset.sets, target.value);
    if (target.dataset?.class) {
      toggle(target);
      paint(viewerOf(target));
    }
  });

  document.addEventListener("click", ({ target }) => {
    if (!target.dataset?.switch) return;
    for (const box of target.closest(".result").querySelectorAll("[data-class]")) {
      box.checked = target.dataset.switch === "all";
      toggle(box);
    }
    paint(viewerOf(target));
  });

  // ---- the camera: one picture after another to the API, which has the one queue of the engine

  const LONGEST = 640;
  let live = null;

  const say = (camera, text) => {
    const said = document.createElement("p");
    said.textContent = text;
    camera.querySelector(".segnas-message").replaceChildren(...(text ? [said] : []));
  };

  const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

  function address() {
    const { model, engine } = document.querySelector("#header [data-model]").dataset;
    const root = (window.gradio_config?.root || document.baseURI).replace(/\/*$/, "/");
    return new URL("v1/segment?" + new URLSearchParams({ model, engine }), root);
  }

  function stop(text = "") {
    if (!live) return;
    const { camera, stream, button } = live;
    live = null;
    stream.getTracks().forEach((track) => track.stop());
    button.textContent = "Start the camera";
    delete camera.dataset.live;
    say(camera, text);
  }

  async function start(button) {
    const camera = button.closest(".camera"), video = camera.querySelector("video");
    if (!navigator.mediaDevices)
      return say(camera, "The browser gives a camera to secure pages only: open this one by https, or on the machine itself.");
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    } catch {
      return say(camera, "The camera did not start: allow it for this page, and close what else uses it.");
    }
    say(camera, "");
    slide(camera.querySelector(".viewer"));
    live = { camera, stream, button, times: [] };
    video.srcObject = stream;
    await video.play();
    button.textContent = "Stop the camera";
    camera.dataset.live = "";
    run(live, video);
  }

  async function run(session, video) {
    const [seen, drawn] = session.camera.querySelectorAll("canvas");
    const scale = Math.min(1, LONGEST / Math.max(video.videoWidth, video.videoHeight));
    const width = Math.round(video.videoWidth * scale), height = Math.round(video.videoHeight * scale);
    const frame = new OffscreenCanvas(width, height), context = frame.getContext("2d");
    session.camera.querySelector(".stage").style.aspectRatio = `${width} / ${height}`;
    Object.assign(seen, { width, height });
    Object.assign(drawn, { width, height });
    while (live === session) {
      if (!session.camera.offsetParent) return stop();
      context.drawImage(video, 0, 0, width, height);
      const picture = await frame.convertToBlob({ type: "image/jpeg", quality: 0.85 });
      const began = performance.now();
      try {
        const answer = await fetch(address(), { method: "POST", body: picture });
        if (!answer.ok) {
          say(session.camera, (await answer.json()).detail);
          await pause(1000 * Number(answer.headers.get("Retry-After") || 1));
          continue;
        }
        const labels = await createImageBitmap(await answer.blob());
        if (live !== session) return;
        seen.getContext("2d").drawImage(frame, 0, 0);
        drawn.getContext("2d").drawImage(labels, 0, 0);
        labels.close();
        count(session, performance.now() - began, answer.headers.get("Server-Timing"));
      } catch {
        return stop("The server does not answer: start the camera again in a moment.");
      }
    }
  }

  // The last ten pictures say how many there are a second.
  function count(session, took, timing) {
    const times = session.times;
    if (times.push(performance.now()) > 11) times.shift();
    const rate = times.length > 1 ? 1000 * (times.length - 1) / (times.at(-1) - times[0]) : 0;
    const spans = Object.fromEntries([...timing.matchAll(/(\w+);dur=([\d.]+)/g)].map((m) => m.slice(1)));
    const numbers = [rate.toFixed(1), took.toFixed(0), spans.total, spans.wait];
    session.camera.querySelectorAll(".tiles dd").forEach((tile, i) => {
      tile.firstChild.data = numbers[i] + " ";
    });
    session.camera.dataset.pictures = Number(session.camera.dataset.pictures || 0) + 1;
    say(session.camera, "");
  }

  document.addEventListener("click", ({ target }) => {
    if (target.dataset?.camera !== undefined) live ? stop() : start(target);
  });
})();
