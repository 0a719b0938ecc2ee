# Two images. `full`, the last and so the default, has Augment's CLI with Node beside the proxy; `slim` has not:
#   docker build -t augment-open-proxy .
#   docker build -t augment-open-proxy:slim --target slim .
ARG PYTHON_IMAGE=python:3.13-slim-trixie
ARG NODE_IMAGE=node:24-trixie-slim

FROM ${PYTHON_IMAGE} AS build
WORKDIR /build
RUN python3 -m venv /opt/hatchling && python3 -m venv /opt/augment-open-proxy
COPY requirements-build.lock requirements-postgres.lock ./
RUN /opt/hatchling/bin/pip install --no-cache-dir --require-hashes -r requirements-build.lock \
    && /opt/augment-open-proxy/bin/pip install --no-cache-dir --only-binary :all: --require-hashes -r requirements-postgres.lock
COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY src src
# The tokenizer names numpy, and imports it only for what the proxy does not use.
RUN /opt/hatchling/bin/python -m hatchling build -t wheel -d /tmp/dist \
    && /opt/augment-open-proxy/bin/pip install --no-cache-dir --no-deps --no-index /tmp/dist/*.whl \
    && /opt/augment-open-proxy/bin/pip uninstall -y numpy pip

FROM ${NODE_IMAGE} AS auggie
WORKDIR /opt/auggie
COPY deploy/auggie/package.json deploy/auggie/package-lock.json deploy/auggie/.npmrc ./
RUN npm ci --omit=dev && npm cache clean --force

FROM ${PYTHON_IMAGE} AS slim
# The home folder is /root, where Augment's CLI and the documented mounts have the session, and anybody may look into it.
# Any user may keep state in /data, so that `--user` can name the owner of the session.
RUN useradd --uid 1000 --user-group --home-dir /root --no-create-home --shell /usr/sbin/nologin augment \
    && chmod 755 /root \
    && install -d -o 1000 -g 1000 /root/.augment \
    && install -d -m 1777 /data
COPY --from=build /opt/augment-open-proxy /opt/augment-open-proxy
ENV PATH=/opt/augment-open-proxy/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/root \
    AOP_HOST=0.0.0.0 \
    AOP_STATE_DIR=/data \
    PYTHONUNBUFFERED=1
LABEL org.opencontainers.image.title="augment-open-proxy" \
    org.opencontainers.image.description="OpenAI- and Anthropic-compatible clients on an Augment account" \
    org.opencontainers.image.licenses="MIT"
USER 1000:1000
VOLUME /data
EXPOSE 7888
HEALTHCHECK --interval=30s --timeout=10s --start-period=10s --retries=3 CMD ["augment-open-proxy", "health"]
ENTRYPOINT ["augment-open-proxy"]

FROM slim AS full
COPY --from=auggie /usr/local/bin/node /usr/local/bin/node
COPY --from=auggie /opt/auggie /opt/auggie
ENV PATH=/opt/augment-open-proxy/bin:/opt/auggie/node_modules/.bin:/usr/local/bin:/usr/bin:/bin
