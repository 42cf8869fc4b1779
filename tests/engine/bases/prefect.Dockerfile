# Prefect of the version in the tag, as `requirements.lock` pins what it needs.
FROM python:3.12.13-slim-trixie
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends tini \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/prefect
COPY --from=repository requirements.lock ./
ARG TAG
RUN python -m pip install -q --no-cache-dir uv \
    && UV_SYSTEM_CERTS=true UV_COMPILE_BYTECODE=1 uv pip install -q --system --no-cache \
        --constraint requirements.lock "prefect==${TAG%%-*}"
ENTRYPOINT ["tini", "-g", "--"]
