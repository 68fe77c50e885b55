# The image of api, worker and supervisor, and a Redis beside them.
# Processes start as root only to become the owner of the user's home (scripts/container-entry).

ARG BASE=debian:trixie-slim

FROM ${BASE} AS base
RUN apt-get update -qq \
    && apt-get install -y -qq --no-install-recommends ca-certificates python3 tini \
    && rm -rf /var/lib/apt/lists/*

FROM base AS build
RUN apt-get update -qq \
    && apt-get install -y -qq --no-install-recommends python3-venv \
    && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv /opt/jido
COPY requirements/runtime.txt /src/requirements/runtime.txt
RUN /opt/jido/bin/pip install --no-cache-dir --quiet --require-hashes -r /src/requirements/runtime.txt
COPY pyproject.toml README.md /src/
COPY orchestrator /src/orchestrator
COPY sandbox_image /src/sandbox_image
COPY tui /src/tui
COPY examples /src/examples
RUN /opt/jido/bin/pip install --no-cache-dir --quiet --no-deps --no-build-isolation /src

FROM ${BASE} AS redis
RUN apt-get update -qq \
    && apt-get install -y -qq --no-install-recommends redis-server tini \
    && rm -rf /var/lib/apt/lists/*
COPY --chmod=0555 scripts/container-entry /usr/local/bin/container-entry
ENTRYPOINT ["/usr/bin/tini", "--", "/usr/local/bin/container-entry"]

FROM base AS orchestrator
ENV PATH=/opt/jido/bin:/usr/local/bin:/usr/bin:/bin PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
COPY --from=build /opt/jido /opt/jido
COPY --chmod=0555 scripts/container-entry /usr/local/bin/container-entry
ENTRYPOINT ["/usr/bin/tini", "--", "/usr/local/bin/container-entry"]
