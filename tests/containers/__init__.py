"""The images and docker-compose.kafka.yml, run on podman: `make containers`.

Base images that cannot be pulled are stand-ins, made here under the official names (deploy/stand_ins/README.md).
"""
