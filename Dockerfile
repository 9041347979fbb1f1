# Builds with the classic builder and with BuildKit: docker build -t workload-api .
ARG BASE_IMAGE=python:3.13-slim

FROM ${BASE_IMAGE} AS builder
WORKDIR /build
RUN python3 -m venv /opt/workload-api
# The locked dependencies first: they change less often than the program, and this layer is the big one.
COPY requirements-build.lock requirements.lock ./
RUN /opt/workload-api/bin/python -m pip install --no-cache-dir --require-hashes -r requirements.lock \
 && python3 -m venv /opt/build \
 && /opt/build/bin/python -m pip install --no-cache-dir --require-hashes -r requirements-build.lock
COPY pyproject.toml README.md LICENSE ./
COPY migrations migrations
COPY src src
RUN /opt/build/bin/python -m pip wheel --no-deps --no-build-isolation --wheel-dir dist . \
 && /opt/workload-api/bin/python -m pip install --no-cache-dir --no-deps --no-index dist/*.whl \
 && /opt/workload-api/bin/python -m compileall -q /opt/workload-api/lib \
 && /opt/workload-api/bin/python -m pip uninstall --quiet --yes pip

FROM ${BASE_IMAGE}
LABEL org.opencontainers.image.title="workload-api" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --gid 10001 workload-api \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /data --shell /usr/sbin/nologin workload-api \
 && install -d -o 10001 -g 10001 -m 0700 /data
COPY --from=builder /opt/workload-api /opt/workload-api
ENV PATH=/opt/workload-api/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    WORKLOAD_API_DATA_DIR=/data \
    WORKLOAD_API_HOST=0.0.0.0
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8080
# An HTTP request from within, at the port that the settings name.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
  CMD ["python", "-c", "import os, urllib.request as r; r.build_opener(r.ProxyHandler({})).open('http://127.0.0.1:' + os.environ.get('WORKLOAD_API_PORT', '8080') + '/livez', timeout=4)"]
# A server in a container has to listen on every address to be reached. With the process runtime it refuses to, unless
# WORKLOAD_API_ALLOW_REMOTE_PROCESS_RUNTIME=true says that everyone who reaches it may run commands in this container:
#   docker run -p 127.0.0.1:8080:8080 -e WORKLOAD_API_ALLOW_REMOTE_PROCESS_RUNTIME=true -v workload-api:/data workload-api
ENTRYPOINT ["workload-api"]
CMD ["serve"]
