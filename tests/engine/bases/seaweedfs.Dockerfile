# A server of S3's protocol in place of SeaweedFS: s3rver, behind what checks who asks.
FROM debian:trixie-slim
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends nodejs wget \
    && rm -rf /var/lib/apt/lists/*
COPY --from=modules node_modules /srv/node_modules
COPY seaweedfs.js /srv/
VOLUME /data
ENTRYPOINT ["node", "/srv/seaweedfs.js"]
