// Makes the replica set and its users, with mongosh on the first member's own loopback address: until
// there is a user, MongoDB takes such connections without one. Run again it changes nothing but the
// passwords, to those of the files.
//
// MEMBERS names the members, the first one first: mongodb1:27017,mongodb2:27017
// SECRETS is the folder with mongodb.admin and mongodb.pulseboard.
const { readFileSync } = require("fs");
const secret = (name) => readFileSync(`${process.env.SECRETS}/${name}`, "utf8").trim();
const members = process.env.MEMBERS.split(",").map((host, _id) => ({ _id, host }));
const admin = db.getSiblingDB("admin");
const pulseboard = db.getSiblingDB("pulseboard");
const is = (error, name) => {
  if (error.codeName !== name) throw error;
};

function initiate() {
  try {
    admin.runCommand({ replSetInitiate: { _id: "pulseboard", members } });
  } catch (error) {
    // With users there, it is not asked without one: then it is a set already.
    if (error.codeName !== "Unauthorized") is(error, "AlreadyInitialized");
  }
}

function primary() {
  for (let tries = 0; tries < 120; tries += 1) {
    if (admin.hello().isWritablePrimary) return;
    sleep(500);
  }
  throw new Error("this member does not become the primary; is another one? then all is well");
}

function administrator() {
  const pwd = secret("mongodb.admin");
  try {
    admin.createUser({ user: "admin", pwd, roles: ["root"] });
  } catch (error) {
    if (error.codeName !== "Unauthorized") is(error, "Location51003");
  }
  admin.auth("admin", pwd);
}

// What Pulseboard does, and nothing else. It drops no collection and removes no event.
function user() {
  const privileges = [
    {
      resource: { db: "pulseboard", collection: "" },
      actions: [
        "find", "insert", "update", "createCollection", "createIndex", "dropIndex", "collMod",
        "listCollections", "listIndexes",
      ],
    },
  ];
  const pwd = secret("mongodb.pulseboard");
  const roles = ["pulseboard"];
  if (pulseboard.getRole("pulseboard")) {
    pulseboard.updateRole("pulseboard", { privileges, roles: [] });
  } else {
    pulseboard.createRole({ role: "pulseboard", privileges, roles: [] });
  }
  if (pulseboard.getUser("pulseboard")) {
    pulseboard.updateUser("pulseboard", { pwd, roles });
  } else {
    pulseboard.createUser({ user: "pulseboard", pwd, roles });
  }
}

initiate();
primary();
administrator();
user();
print("the replica set and its users are there");
