// Why there may be no socket although REST is answered. A browser does not tell a page what an upgrade was refused
// with, so this names what is likely, and where to look.

import { Dialog } from "./Dialog";
import { HOME } from "./Passing";

export function NoSocket({ open, onClose, origin }: { open: boolean; onClose: () => void; origin: string }) {
  return (
    <Dialog
      name="nosocket"
      title="REST is answered, the socket is not"
      open={open}
      home={HOME.system}
      onClose={onClose}
    >
      <p>
        The numbers come every few seconds instead of every second. A browser does not say why a socket was
        refused; mostly it is one of these:
      </p>
      <ol>
        <li>
          <b>The daemon does not know this page's address as its own</b>, because a proxy stands in front of
          it and asks by another name. Tell the daemon, in its configuration:
          <code>{`[server]\npublic_url = "${origin}"`}</code>
        </li>
        <li>
          <b>A proxy on the way does not pass sockets on.</b> nginx needs these for /ws:
          <code>
            {
              'proxy_http_version 1.1;\nproxy_set_header Upgrade $http_upgrade;\nproxy_set_header Connection "upgrade";'
            }
          </code>
        </li>
        <li>
          <b>This address has all the sockets it may have</b> (limits.sockets_per_address): close other
          dashboards.
        </li>
      </ol>
    </Dialog>
  );
}
