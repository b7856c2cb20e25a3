"""Counts the events in MongoDB with a client that shares no code with Pulseboard, and compares them
with the raw file, split here in the plainest way, and with its facts.json; then what the daemon's
REST API says of them.

Arguments: URI of the database, URL of the daemon, folder of the data set. Prints what was compared.
"""

import collections
import datetime
import gzip
import json
import os
import sys
import urllib.request

import pymongo

ROUTE_BYTES = 512


def apache(folder):
    for line in open(os.path.join(folder, "access.log"), encoding="ascii"):
        words = line.split(" ")
        status = int(line.split('"')[2].split()[0])
        time = datetime.datetime.strptime(words[3][1:] + " " + words[4][:-1], "%d/%b/%Y:%H:%M:%S %z")
        yield words[0], words[6].split("?")[0], status, time


def nasa(folder):
    lines = open(os.path.join(folder, "requests.tsv"), encoding="utf-8").read().splitlines()[1:]
    for line in lines:
        host, _, time, _, url, status, *_ = line.split("\t")
        time = datetime.datetime.fromtimestamp(int(time), datetime.timezone.utc)
        yield host, url.split("?")[0], int(status), time


def wikipedia(folder):
    for line in gzip.open(os.path.join(folder, "events.ndjson.gz"), "rt", encoding="utf-8"):
        edit = json.loads(line)
        time = datetime.datetime.fromisoformat(edit["time"].replace("Z", "+00:00"))
        yield edit["user"], "/" + edit["channel"].lstrip("#"), None, time


def day_of(time):
    return time.astimezone(datetime.timezone.utc).strftime("%Y-%m-%d")


def same(what, wanted, found):
    if wanted != found:
        wrong = [(key, wanted.get(key), found.get(key))
                 for key in sorted(set(wanted) | set(found), key=str)
                 if wanted.get(key) != found.get(key)]
        sys.exit(f"{what}: (key, wanted, found) {wrong[:10]}")
    print(f"{what}: {len(wanted)} counts agree")


def hold_against_facts(rows, facts):
    """What was split here must be what the facts say."""
    routes = collections.Counter(row[1] for row in rows)
    tops = facts.get("top10_routes_path_without_query") or facts["top10_channel"]
    for top in tops:
        assert routes["/" + top["value"].lstrip("/#")] == top["count"], top
    assert facts.get("distinct_routes_path_without_query", len(routes)) == len(routes)
    assert facts.get("distinct_channel", len(routes)) == len(routes)
    assert facts["per_day_utc"] == collections.Counter(day_of(row[3]) for row in rows)
    if "status_codes" in facts:
        codes = {int(code): count for code, count in facts["status_codes"].items()}
        assert codes == collections.Counter(row[2] for row in rows)
    who = facts.get("distinct_clients", facts.get("distinct_user"))
    assert who == len({row[0] for row in rows})


def in_mongodb(uri):
    """Counts by route, status, day and client, and the number of documents."""
    client = pymongo.MongoClient(uri)
    events = client.get_default_database()["events"]

    def count(key):
        groups = events.aggregate([{"$group": {"_id": key, "count": {"$sum": 1}}}])
        return {group["_id"]: group["count"] for group in groups}

    day = {"$dateToString": {"date": "$timestamp", "format": "%Y-%m-%d"}}
    who = {"$ifNull": ["$userId", "$clientId"]}
    counts = count("$route"), count({"$ifNull": ["$status", 0]}), count(day), count(who)
    return (*counts, events.count_documents({}))


def ask(url):
    with urllib.request.urlopen(url) as answer:
        return json.load(answer)


def over_rest(url, days):
    """Events by route and by day, as the daemon tells them."""
    last = datetime.date.fromisoformat(max(days)) + datetime.timedelta(days=1)
    times = f"from={min(days)}T00:00:00Z&to={last}T00:00:00Z"
    answer = ask(f"{url}/api/routes?{times}&limit=20000")
    assert answer["otherRoutes"]["events"] == 0, answer["otherRoutes"]
    routes = {row["route"]: row["events"] for row in answer["routes"]}
    history = ask(f"{url}/api/history?{times}&step=1d")["history"]
    by_day = {day_of(datetime.datetime.fromtimestamp(tick, datetime.timezone.utc)): events
              for tick, events in zip(history["tick"], history["events"]) if events}
    classes = {name: sum(count or 0 for count in column)
               for name, column in history["statusClasses"].items()}
    return routes, by_day, {name: count for name, count in classes.items() if count}


def pages(url):
    """Events by route, page by page."""
    routes, ids, cursor = collections.Counter(), set(), ""
    while cursor is not None:
        page = ask(f"{url}/api/events?limit=1000{cursor}")
        for event in page["events"]:
            routes[event["route"]] += 1
            ids.add(event["eventId"])
        cursor = page["next"] and "&cursor=" + page["next"]
    assert len(ids) == sum(routes.values()), "an event came twice"
    return dict(routes)


def main(uri, url, folder):
    read = {"apache": apache, "nasa": nasa, "wikipedia": wikipedia}
    rows = list(read[os.path.basename(folder).split("-")[0]](folder))
    facts = json.load(open(os.path.join(folder, "facts.json"), encoding="utf-8"))["facts"]
    hold_against_facts(rows, facts)
    rows = [row for row in rows if len(row[1].encode()) <= ROUTE_BYTES]

    routes, statuses, days, who, documents = in_mongodb(uri)
    same("routes", collections.Counter(row[1] for row in rows), routes)
    same("statuses", collections.Counter(row[2] or 0 for row in rows), statuses)
    same("days", collections.Counter(day_of(row[3]) for row in rows), days)
    same("clients", collections.Counter(row[0] for row in rows), who)
    assert documents == len(rows), documents

    told_routes, told_days, told_classes = over_rest(url, days)
    same("routes over REST", routes, told_routes)
    same("days over REST", days, told_days)
    classes = collections.Counter(f"{row[2] // 100}xx" for row in rows if row[2])
    same("status classes over REST", classes, told_classes)
    same("routes over pages of events", routes, pages(url))
    print(f"{documents} documents")


main(*sys.argv[1:])
