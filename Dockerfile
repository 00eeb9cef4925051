# A bundle behind its page, on the processor, without torch:
#   docker build --target cpu --build-arg BUNDLE=runs/quickstart/bundle -t segnas .
#   docker run --read-only --tmpfs /tmp -p 7860:7860 segnas

FROM python:3.11-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE *.py ./
COPY models models
COPY searcher searcher
COPY export export
COPY serve serve
RUN pip install -c constraints.txt '.[cpu,serve]'

FROM python:3.11-slim AS cpu
# 'make demo' writes the default bundle; any other folder of the build context may be named.
ARG BUNDLE=runs/quickstart/bundle
COPY --from=build /opt/venv /opt/venv
COPY --chown=10001:10001 ${BUNDLE} /bundle
# Only /tmp is written to: the page's uploads, which it deletes after a quarter of an hour.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    GRADIO_TEMP_DIR=/tmp/gradio \
    ORT_DISABLE_TELEMETRY=1 \
    PORT=7860
USER 10001:10001
WORKDIR /tmp
EXPOSE 7860
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
  CMD ["python", "-c", "import os, urllib.request as u; u.urlopen('http://127.0.0.1:' + os.environ['PORT'] + '/readyz', timeout=2)"]
CMD ["segnas", "serve", "/bundle", "--host", "0.0.0.0"]
