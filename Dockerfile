# Two images from one file: `api` without PyTorch, `worker` with it.
#   docker build --target api -t cil-api .      docker build --target worker -t cil-worker .

FROM python:3.11-slim AS base
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN useradd --create-home --uid 1000 cil && mkdir /data && chown cil /data
WORKDIR /app
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY api api
COPY cil_core cil_core
COPY migrations migrations
COPY store store
COPY workers workers

FROM base AS api
RUN pip install -c constraints.txt '.[server]'
USER cil
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/livez', timeout=2)"]
CMD ["uvicorn", "api.main:from_environment", "--factory", "--host", "0.0.0.0", "--port", "8000", "--timeout-graceful-shutdown", "10"]

FROM base AS worker
RUN pip install -c constraints.txt '.[worker]'
USER cil
ENV CIL_DATA_DIR=/data
VOLUME /data
STOPSIGNAL SIGTERM
CMD ["cil", "worker", "--device", "cpu"]
