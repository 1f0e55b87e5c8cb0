# Two images from one file: `api` without PyTorch, `worker` with it.
#   docker build --target api -t cil-api .      docker build --target worker -t cil-worker .
#
# Dependencies are a layer of their own, which depends on nothing but their list: a change of code downloads no PyTorch.

FROM python:3.11-slim AS requirements
COPY pyproject.toml .
RUN python -c "import tomllib; project = tomllib.load(open('pyproject.toml', 'rb'))['project']; [open(f'{extra}.txt', 'w').write('\n'.join(project['dependencies'] + project['optional-dependencies'][extra])) for extra in ('server', 'worker')]"

FROM python:3.11-slim AS base
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN useradd --create-home --uid 1000 cil && mkdir /data && chown cil /data
WORKDIR /app
COPY constraints.txt ./

FROM base AS api
COPY --from=requirements server.txt ./
RUN pip install -c constraints.txt -r server.txt
COPY pyproject.toml README.md LICENSE ./
COPY api api
COPY cil_core cil_core
COPY migrations migrations
COPY store store
COPY workers workers
RUN pip install --no-deps .
USER cil
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/livez', timeout=2)"]
CMD ["uvicorn", "api.main:from_environment", "--factory", "--host", "0.0.0.0", "--port", "8000", "--timeout-graceful-shutdown", "10"]

FROM base AS worker
COPY --from=requirements worker.txt ./
RUN pip install -c constraints.txt -r worker.txt
COPY pyproject.toml README.md LICENSE ./
COPY api api
COPY cil_core cil_core
COPY migrations migrations
COPY store store
COPY workers workers
RUN pip install --no-deps .
USER cil
ENV CIL_DATA_DIR=/data
VOLUME /data
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=120s CMD ["python", "-m", "workers.cli.health"]
CMD ["cil", "worker", "--device", "cpu"]
