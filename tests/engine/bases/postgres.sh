# What the official image does: steps down from root, makes the cluster in an empty volume,
# runs the scripts that prepare it while no network reaches it, and becomes the server.
set -eu

[ "$1" = postgres ] || exec "$@"

if [ "$(id -u)" = 0 ]; then
	install -d -o postgres -g postgres -m 700 "$PGDATA"
	exec setpriv --reuid postgres --regid postgres --init-groups sh "$0" "$@"
fi

if [ ! -s "$PGDATA/PG_VERSION" ]; then
	secret=$(mktemp)
	printf '%s' "${POSTGRES_PASSWORD:?}" > "$secret"
	initdb --username postgres --pwfile "$secret" --auth trust > /dev/null
	rm "$secret"
	echo 'host all all all scram-sha-256' >> "$PGDATA/pg_hba.conf"
	pg_ctl --wait --options "-c listen_addresses=''" start
	for script in /docker-entrypoint-initdb.d/*.sh; do
		sh "$script"
	done
	pg_ctl --wait --mode fast stop
fi
exec "$@" -c 'listen_addresses=*'
