// Puts what the desk knows into words. Times are Unix seconds, spans are seconds.

const UNITS = [
  [86400 * 2, 86400, "days"],
  [3600 * 2, 3600, "h"],
  [60 * 2, 60, "min"],
  [0, 1, "s"],
];
const CLOCKS = { ntp: "by NTP", learned: "learned", rtc: "by battery", host: "by a computer", none: "not set" };

const two = (number) => String(number).padStart(2, "0");

/** Return a span as a person says it, in one unit: "45 s", "12 min", "30 h", "3 days". */
export function span(seconds) {
  const [, unit, name] = UNITS.find(([least]) => seconds >= least) ?? UNITS.at(-1);
  return `${Math.max(0, Math.floor(seconds / unit))} ${name}`;
}

export const ago = (seconds) => (seconds < 3 ? "just now" : `${span(seconds)} ago`);

/** Return a point in time: "12:03:04" of today, else "Fri 27 Nov, 12:03"; now: what today is. */
export function moment(unix, now) {
  const at = new Date(unix * 1000);
  const time = `${two(at.getHours())}:${two(at.getMinutes())}`;
  if (at.toDateString() === new Date(now * 1000).toDateString()) return `${time}:${two(at.getSeconds())}`;
  const year = at.getFullYear() === new Date(now * 1000).getFullYear() ? "" : ` ${at.getFullYear()}`;
  return `${at.toLocaleDateString("en-GB", { weekday: "short", day: "numeric", month: "short" })}${year}, ${time}`;
}

export const iso = (unix) => new Date(unix * 1000).toISOString();

/** Return octets: "812 B", "43.2 kB", "1.2 MB". */
export function octets(count) {
  if (count < 1000) return `${Math.round(count)} B`;
  return count < 1e6 ? `${(count / 1000).toFixed(count < 1e5 ? 1 : 0)} kB` : `${(count / 1e6).toFixed(1)} MB`;
}

/** Return [what stands before the @, the rest] of an address-of-record, without its scheme. */
export function name(aor) {
  const bare = aor.replace(/^sips?:/i, "");
  const at = bare.indexOf("@");
  return at > 0 ? [bare.slice(0, at), bare.slice(at)] : [bare, ""];
}

/** Return how a board is at this moment: the page needs no one to tell it that time has passed. */
export function stateOf(board, now) {
  return now >= board.gone_at ? "gone" : now >= board.late_at ? "late" : "alive";
}

/** Return the state with its threshold: "late: nothing for 12 min, expected every 5 min". */
export function threshold(board, now) {
  const state = stateOf(board, now);
  const silence = now - board.heard;
  const expected = board.every
    ? `expected every ${span(board.every)}`
    : `late after ${span(board.late_at - board.heard)}`;
  return state === "alive"
    ? `alive: heard ${ago(silence)}, ${expected}`
    : `${state}: nothing for ${span(silence)}, ${expected}`;
}

/** Return who vouches for a name, a sentence each, so that nobody mistakes one for another. */
export function proof({ level, by }) {
  if (level === "signed") return by ? `signed by ${by.replace(/^sips?:/i, "")}` : "signed";
  if (level === "shared") return "by a shared key";
  if (level === "login") return by ? `logged in as ${by}` : "logged in";
  return "anybody can have written this name";
}

/** Return the same in two words, for where boards stand close together. */
export const proofInShort = ({ level }) =>
  ({ signed: "signed", shared: "shared key", login: "logged in" })[level] ?? "unproven name";

export const clock = (quality) => CLOCKS[quality] ?? quality;

/** Return where words to a board go, and what that is worth: isGuided: all go to a server of the desk's own. */
export function way(board, isGuided) {
  if (isGuided) return "Goes to the desk's own server, which passes it on to who has registered there by this name.";
  if (!board.source) return "Goes where its address leads: nothing has come from it but what a monitor has told.";
  const host = board.source.slice(0, board.source.lastIndexOf(":"));
  const named = board.aor.slice(board.aor.search(/[@:]/) + 1).replace(/^[^@]*@/, "");
  const isThere = named.replace(/[;?].*$/, "").replace(/:\d+$/, "") === host;
  const leads = isThere ? "" : "where its address leads or, if that is nowhere, ";
  return `Goes ${leads}to ${board.source} by ${board.transport.toUpperCase()}, ${seen(board)}.`;
}

function seen(board) {
  if (board.heard_by === "registration") return "where it has registered";
  const isProved = board.proof.level !== "none";
  return `where it was heard last${isProved ? `, ${proof(board.proof)}` : "; nothing proves that it was this board"}`;
}

/** Return how well a board is heard on Wi-Fi: words, and of four bars how many. */
export function signal(dbm) {
  return dbm >= -60 ? ["strong", 4] : dbm >= -70 ? ["good", 3] : dbm >= -80 ? ["weak", 2] : ["very weak", 1];
}

/** Return what to beware of in a message at this moment. */
export function marks(message, now) {
  const isOver = message.valid_until !== null && now >= message.valid_until;
  return [
    message.expired
      ? "expired before it came"
      : isOver
        ? `expired at ${moment(message.valid_until, now)}: no longer valid`
        : "",
    message.stale ? "stale: sent long before it came" : "",
    ...message.marks,
  ].filter(Boolean);
}

/** Return what became of a reply: [the words, "good", "bad" or "waits"]. */
export function outcome(reply, now) {
  const end = reply.ended_at ? ` at ${moment(reply.ended_at, now)}` : "";
  const until = reply.expires_at ? ` at the longest until ${moment(reply.expires_at, now)}` : "";
  const why = [reply.status, reply.reason].filter(Boolean).join(" ");
  switch (reply.state) {
    case "delivered":
      return [`reached the board${end}`, "good"];
    case "accepted":
      return [`taken by a server${end}, which passes it on: whether the board has it is not known`, "good"];
    case "failed":
      return [`failed${end}${why ? `: ${why}` : ""}`, "bad"];
    case "expired":
      return [`expired${end}: the board was not reached in time`, "bad"];
    case "sending":
      return ["on its way", "waits"];
    default:
      return [`waits for the board,${until || " as long as it takes"}${tries(reply, now, why)}`, "waits"];
  }
}

function tries(reply, now, why) {
  if (!reply.tries) return "";
  const next = reply.next_at && reply.next_at > now ? `, next ${moment(reply.next_at, now)}` : "";
  return ` (${reply.tries === 1 ? "tried once" : `tried ${reply.tries} times`}${why ? `: ${why}` : ""}${next})`;
}

export const count = (number, one, many = `${one}s`) => `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
