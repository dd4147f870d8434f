#!/bin/bash
# One database a service, three roles a database, and nobody else may connect. The postgres image runs this once, on an
# empty volume; passwords come from the container's environment, as ORDER_OWNER_PASSWORD.
set -euo pipefail

create_database() { # database, owner; further arguments: guests who may connect
  local database=$1 owner=$2
  psql --no-psqlrc --set=ON_ERROR_STOP=1 --set=database="$database" --set=owner="$owner" \
    --username="$POSTGRES_USER" --dbname=postgres <<-'SQL'
	CREATE DATABASE :"database" OWNER :"owner" TEMPLATE template0;
	REVOKE ALL ON DATABASE :"database" FROM PUBLIC;
	SQL
  for role in "${@:2}"; do
    psql --no-psqlrc --set=ON_ERROR_STOP=1 --set=database="$database" --set=role="$role" \
      --username="$POSTGRES_USER" --dbname=postgres <<<'GRANT CONNECT ON DATABASE :"database" TO :"role";'
  done
  psql --no-psqlrc --set=ON_ERROR_STOP=1 --set=owner="$owner" --username="$POSTGRES_USER" --dbname="$database" <<-'SQL'
	ALTER SCHEMA public OWNER TO :"owner";
	REVOKE ALL ON SCHEMA public FROM PUBLIC;
	SQL
}

create_role() { # role; its password stands in the variable of its name, in capitals
  local variable="${1^^}_PASSWORD"
  psql --no-psqlrc --set=ON_ERROR_STOP=1 --set=role="$1" --set=password="${!variable:?}" \
    --username="$POSTGRES_USER" --dbname=postgres <<<'CREATE ROLE :"role" LOGIN PASSWORD :'"'password';"
}

# services.toml: names
for service in order inventory payment notification console; do
# services.toml: end
  for role in owner service relay; do
    create_role "${service}_${role}"
  done
  create_database "$service" "${service}_owner" "${service}_service" "${service}_relay"
done

create_role registry_owner
create_database registry registry_owner
