# Turns Wikipedia's recent changes (one JSON object a line) into events: an edit is an event of type
# "edit", its route is "/" and the channel without its "#", whoever edited is the user, and what
# else it says goes among the props. Props hold no nulls, so what is null is left out.
#
#   gunzip -c events.ndjson.gz | jq -c -f docs/recipes/wikipedia-to-events.jq | pulseboard replay -

{
  type: "edit",
  route: ("/" + (.channel | ltrimstr("#"))),
  timestamp: .time,
  userId: .user,
  props: (
    { page, namespace, country: .countryName, robot: .isRobot, anonymous: .isAnonymous, new: .isNew,
      minor: .isMinor, unpatrolled: .isUnpatrolled, added, deleted, delta }
    | with_entries(select(.value != null))
  )
}
