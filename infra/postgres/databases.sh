#!/bin/sh
# Runs once, on an empty PostgreSQL: a database and a role for each service. A role owns its
# own database and can enter no other.
set -eu

make() { # name password
	psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --set name="$1" --set password="$2" \
		--username "${POSTGRES_USER:-postgres}" --dbname postgres <<-'SQL'
		CREATE ROLE :"name" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD :'password';
		CREATE DATABASE :"name" OWNER :"name";
		REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
	SQL
}

make headrace "${HEADRACE_DB_PASSWORD:?}"
make mlflow "${MLFLOW_DB_PASSWORD:?}"
make prefect "${PREFECT_DB_PASSWORD:?}"
psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" \
	--dbname postgres --command 'REVOKE ALL ON DATABASE postgres FROM PUBLIC'
