# One file, three images:
#   cpu    serves a bundle on the processor, without torch
#   gpu    serves one with TensorRT
#   train  searches, trains and exports
# docs/deploying.md says how each is built and run.

FROM scratch AS source
COPY pyproject.toml constraints.txt README.md LICENSE *.py /src/
COPY models /src/models
COPY searcher /src/searcher
COPY export /src/export
COPY serve /src/serve

FROM python:3.11-slim AS cpu-packages
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
WORKDIR /src
COPY --from=source /src .
RUN pip install -c constraints.txt '.[cpu,serve]'

FROM python:3.11-slim AS train-packages
# cpu, or the name of a CUDA build such as cu130.  Where pip's settings do not lead to PyTorch's own
# builds, PIP_EXTRA_INDEX_URL is the address of their index.
ARG TORCH=cpu
ARG PIP_EXTRA_INDEX_URL
ARG EXTRAS=cpu,serve,train,openvino
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
WORKDIR /src
COPY --from=source /src .
RUN pip install -c constraints.txt "torch==2.13.0+${TORCH}" ".[${EXTRAS}]"

# The CUDA that onnxruntime-gpu 1.31 was built with; cuDNN is in it, TensorRT comes from pip.
FROM nvidia/cuda:13.0.2-cudnn-runtime-ubuntu24.04 AS gpu-base
# No versions: Ubuntu keeps only the newest of a release.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3 \
 && rm -rf /var/lib/apt/lists/*

FROM gpu-base AS gpu-packages
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3-venv \
 && rm -rf /var/lib/apt/lists/*
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python3 -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
WORKDIR /src
COPY --from=source /src .
# TensorRT's libraries are not on PyPI: its package there fetches them from NVIDIA's own index.
RUN pip install -c constraints.txt '.[gpu,serve,tensorrt]'

FROM python:3.11-slim AS train
COPY --from=train-packages /opt/venv /opt/venv
# Runs and data are in /data, which is mounted; libraries keep their scratch in /tmp.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    MPLCONFIGDIR=/tmp/matplotlib \
    ORT_DISABLE_TELEMETRY=1
USER 10001:10001
WORKDIR /data
# A job is watched by its exit code.
HEALTHCHECK NONE
ENTRYPOINT ["segnas"]
CMD ["--help"]

FROM gpu-base AS gpu
# A bundle of the build context that holds a TensorRT engine for the GPU it will run on.
ARG BUNDLE=models/zoo/camvid-balanced
COPY --from=gpu-packages /opt/venv /opt/venv
COPY --chown=10001:10001 ${BUNDLE} /bundle
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    GRADIO_TEMP_DIR=/tmp/gradio \
    ORT_DISABLE_TELEMETRY=1 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    HOST=0.0.0.0 \
    PORT=7860
USER 10001:10001
WORKDIR /tmp
EXPOSE 7860
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
  CMD ["python3", "-c", "import os, urllib.request as u; u.urlopen('http://127.0.0.1:' + os.environ['PORT'] + '/readyz', timeout=2)"]
CMD ["segnas", "serve", "/bundle", "--runtime", "tensorrt"]

# The last stage is what is built where none is named.
FROM python:3.11-slim AS cpu
# The shipped network; any other bundle of the build context may be named.
ARG BUNDLE=models/zoo/camvid-balanced
COPY --from=cpu-packages /opt/venv /opt/venv
COPY --chown=10001:10001 ${BUNDLE} /bundle
# Only /tmp is written to: the page's uploads, which it deletes after a quarter of an hour.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    GRADIO_TEMP_DIR=/tmp/gradio \
    ORT_DISABLE_TELEMETRY=1 \
    HOST=0.0.0.0 \
    PORT=7860
USER 10001:10001
WORKDIR /tmp
EXPOSE 7860
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
  CMD ["python", "-c", "import os, urllib.request as u; u.urlopen('http://127.0.0.1:' + os.environ['PORT'] + '/readyz', timeout=2)"]
CMD ["segnas", "serve", "/bundle"]
