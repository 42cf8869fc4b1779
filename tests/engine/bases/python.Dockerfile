# A Python of this machine in place of the official build: its folder is `python`.
FROM debian:trixie-slim AS copied
COPY --from=python bin/python3.12 /usr/local/bin/
COPY --from=python lib/libpython3* /usr/local/lib/
COPY --from=python lib/python3.12 /usr/local/lib/python3.12
RUN cd /usr/local/lib && rm -rf *.a python3.12/config-* python3.12/test \
        python3.12/site-packages/* \
    && find . -name __pycache__ -prune -exec rm -rf {} +

FROM debian:trixie-slim
ENV LANG=C.UTF-8
RUN apt-get update -qq \
    && apt-get install -y -qq --no-install-recommends libbz2-1.0 libffi8 \
        liblzma5 libncursesw6 libreadline8t64 libsqlite3-0 libuuid1 netbase tzdata \
    && rm -rf /var/lib/apt/lists/*
COPY --from=copied /usr/local /usr/local
# What this machine trusts, and the index that it asks for packages, if it names one.
COPY --from=certificates ca-certificates.crt /etc/ssl/certs/
ARG INDEX=""
RUN if [ -n "$INDEX" ]; then \
        printf '[global]\nindex-url = %s\n' "$INDEX" > /etc/pip.conf; \
        install -d /etc/uv && printf 'index-url = "%s"\n' "$INDEX" > /etc/uv/uv.toml; \
    fi
# From 24.2 on, pip trusts what the system trusts, as in the official image.
RUN ldconfig && ln -s python3.12 /usr/local/bin/python3 \
    && ln -s python3.12 /usr/local/bin/python && python -m ensurepip \
    && python -m pip --cert /etc/ssl/certs/ca-certificates.crt install -q --no-cache-dir \
        --root-user-action ignore --upgrade 'pip>=25,<27' \
    && python -c 'import bz2, ctypes, lzma, readline, sqlite3, ssl, uuid, zlib'
CMD ["python3"]
