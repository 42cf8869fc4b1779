"""Make the buckets that are named, where they are missing. Safe to run again."""

import sys

import boto3


def main(names: list[str]) -> None:
    """Make each bucket that the key in the environment does not have yet."""
    client = boto3.client("s3")
    present = {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}
    for name in names:
        if name not in present:
            client.create_bucket(Bucket=name)


if __name__ == "__main__":
    main(sys.argv[1:])
