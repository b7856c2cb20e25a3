"""What `cargo xtask cluster` asks of its replica set, with MongoDB's own client for Python.

Usage: replica_set.py initiate|step-down|primary PORT...
"""

import sys
import time

from pymongo import MongoClient
from pymongo.errors import AutoReconnect, OperationFailure, PyMongoError

SET = "pulseboard"
PATIENCE_S = 60


def address(port):
    return f"127.0.0.1:{port}"


def initiate(ports):
    """Makes a set of the members. A failover takes about 2 s in it; MongoDB's default is 10."""
    client = MongoClient(address(ports[0]), directConnection=True, serverSelectionTimeoutMS=PATIENCE_S * 1000)
    members = [{"_id": number, "host": address(port)} for number, port in enumerate(ports)]
    try:
        client.admin.command("replSetInitiate", {"_id": SET, "members": members, "settings": {"electionTimeoutMillis": 2000}})
    except OperationFailure as error:
        if error.codeName != "AlreadyInitialized":
            raise


def primary(ports):
    """The primary's address, waited for."""
    client = MongoClient([address(port) for port in ports], replicaSet=SET, serverSelectionTimeoutMS=PATIENCE_S * 1000)
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return client.admin.command("hello")["primary"]
        except (PyMongoError, KeyError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def step_down(ports):
    """The primary gives way; another member is elected. Returns the new one's address."""
    before = primary(ports)
    client = MongoClient(before, directConnection=True, serverSelectionTimeoutMS=PATIENCE_S * 1000)
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            client.admin.command("replSetStepDown", 20, secondaryCatchUpPeriodSecs=10)
        except AutoReconnect:
            pass
        except OperationFailure as error:
            # No secondary has caught up yet.
            if time.monotonic() > deadline or error.codeName not in ("ExceededTimeLimit", "NotWritablePrimary"):
                raise
        now = primary(ports)
        if now != before:
            return now


def main():
    what, *ports = sys.argv[1:]
    try:
        if what == "initiate":
            initiate(ports)
        elif what == "step-down":
            print(step_down(ports))
            return
        print(primary(ports))
    except PyMongoError as error:
        sys.exit(f"the replica set: {error}")


main()
