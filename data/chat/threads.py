"""Chats on disk, in one SQLite file: what data/chat/page.py shows.

A thread is a tree of messages: an edit, or another answer, is a message with the same parent. The
path from the first message to the thread's `head` is what the page shows. Each token of an answer
is written before it is shown, so that it outlives `kill -9`.

    threads   id, title, head, created, changed; settings {system, tools, think, assistant}
    messages  id, thread, parent, role, content, thought, files [{name, text}], model, vote,
              created, finish: None while it grows, and for ever where the program was killed;
              calls of tools [{name, text, result, figures, said, thought}], each made after so many
              characters of the content and of the thought; seconds that it thought
    pieces    the tokens of an answer as they were drawn: lists of what the page was told of each
    found     the words of messages, for search (FTS5)
    kept      what is there for all chats, by its kind: the user's instructions, notes, assistants
"""

import json
import os
import re
import secrets
import sqlite3
import threading
import time
from contextlib import contextmanager
from pathlib import Path

from csrc.files import ChatError
from data.chat.protocol import TOOLS, offering, read_text, understood

OURS = 0x63686174    # SQLite's application_id of these files
TITLE = 60           # characters of the first question that name a thread
LISTED = 200         # threads that a list has at most
KINDS = ("instructions", "note", "assistant")    # of what is kept for all chats
# The file's schema, and what later versions added: user_version counts them.
VERSIONS = Path(__file__).with_name("threads.sql").read_text().split("-- ====")


class Missing(ChatError):
    """There is no thread, or no message, of that name."""


class Threads:
    """The threads of a file. Any thread of the program may call it."""

    def __init__(self, path):
        """ChatError where the file is no such database, or damaged; then nothing is written."""
        self.path, self.lock = Path(path), threading.RLock()
        with reporting(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
            self.base = sqlite3.connect(self.path, check_same_thread=False, timeout=10)
            self.base.row_factory = sqlite3.Row
            ours, done = (self.base.execute(f"PRAGMA {name}").fetchone()[0]
                          for name in ("application_id", "user_version"))
            done = max(done, int(ours == OURS))
            if self.base.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                if ours != OURS or done > len(VERSIONS):
                    raise sqlite3.DatabaseError("made by another program" if ours != OURS else
                                                "made by a newer version of this program")
                wrong, = self.base.execute("PRAGMA quick_check(1)").fetchone()
                if wrong != "ok":
                    raise sqlite3.DatabaseError(wrong)
            for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON"):
                self.base.execute(f"PRAGMA {pragma}")
            for number, script in enumerate(VERSIONS[done:], done + 1):
                self.base.executescript(f"BEGIN IMMEDIATE; {script} PRAGMA user_version = {number};"
                                        f" COMMIT;")
            self.index("SELECT id FROM messages WHERE id NOT IN (SELECT rowid FROM found)")

    def close(self):
        with self.lock:
            self.base.close()

    @contextmanager
    def transaction(self):
        """SQLite's `execute` in a transaction: all of it happens, or nothing."""
        with self.lock, reporting(self.path), self.base:
            yield self.base.execute

    def index(self, chosen, *values):
        """Let messages, which a query chooses, be found by their words as they are now."""
        with self.transaction() as execute:
            ids = [one[0] for one in execute(chosen, values)]
            for one in ids:
                execute("DELETE FROM found WHERE rowid = ?", (one,))
                execute("INSERT INTO found (rowid, text) SELECT id, content FROM messages "
                        "WHERE id = ?", (one,))

    # ---- Threads

    def create(self, settings):
        """A new thread; its id, which nobody can guess."""
        name, now = secrets.token_urlsafe(12), time.time()
        with self.transaction() as execute:
            execute("INSERT INTO threads VALUES (?, '', NULL, ?, ?, ?)",
                    (name, json.dumps(settings), now, now))
        return name

    def list(self, query=""):
        """[{id, title, changed, excerpt}], the latest first: those in whose title or messages each
        word of a query begins a word."""
        words = re.findall(r"\w+", query)
        with self.transaction() as execute:
            rows = [*map(dict, execute("SELECT id, title, changed, '' AS excerpt FROM threads "
                                       "ORDER BY changed DESC"))]
            for word in words:
                inside = {row["thread"]: row["excerpt"] for row in execute(
                    "SELECT thread, snippet(found, 0, '', '', ' ... ', 12) AS excerpt FROM found "
                    "JOIN messages ON messages.id = found.rowid WHERE found MATCH ?",
                    (f'"{word}"*',))}
                rows = [{**row, "excerpt": inside.get(row["id"], row["excerpt"])} for row in rows
                        if row["id"] in inside or word.lower() in row["title"].lower()]
        return rows[:LISTED]

    def read(self, thread):
        """A thread with all its messages, by their ids' order."""
        with self.transaction() as execute:
            found = execute("SELECT * FROM threads WHERE id = ?", (thread,)).fetchone()
            if not found:
                raise Missing("there is no such thread: it may be deleted")
            messages = [*map(dict, execute("SELECT * FROM messages WHERE thread = ? ORDER BY id",
                                           (thread,)))]
        for message in messages:
            for name in ("files", "calls"):
                message[name] = json.loads(message[name]) if message[name] != "[]" else []
        return {**found, "settings": json.loads(found["settings"]), "messages": messages}

    def change(self, thread, **columns):
        """Give a thread a new title, head or settings."""
        if "head" in columns:
            self.path_to(thread, columns["head"])
        with self.transaction() as execute:
            for name, value in columns.items():
                value = json.dumps(value) if name == "settings" else value
                done = execute(f"UPDATE threads SET {name} = ? WHERE id = ?", (value, thread))
                if not done.rowcount:
                    raise Missing("there is no such thread: it may be deleted")

    def delete(self, thread):
        """Delete a thread with all that it has."""
        with self.transaction() as execute:
            if not execute("DELETE FROM threads WHERE id = ?", (thread,)).rowcount:
                raise Missing("there is no such thread: it may be deleted")

    def path_to(self, thread, message):
        """The messages from the first one to this one, in order."""
        messages = {one["id"]: one for one in self.read(thread)["messages"]}
        found = []
        while message is not None:
            if message not in messages:
                raise Missing(f"the thread has no message {message}")
            found.append(messages[message])
            message = found[-1]["parent"]
        return found[::-1]

    # ---- Messages

    def add(self, thread, parent, role, content, files=(), model=None, finish="stop"):
        """Add a message behind another, or as a first one; it becomes the head. Return its id."""
        before = self.path_to(thread, parent)
        now = time.time()
        with self.transaction() as execute:
            made = execute(
                "INSERT INTO messages (thread, parent, role, content, files, model, finish, "
                "created) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (thread, parent, role, read_text(content), json.dumps([*files]), model, finish,
                 now)).lastrowid
            execute("UPDATE threads SET head = ?, changed = ?, title = CASE WHEN title = '' THEN ? "
                    "ELSE title END WHERE id = ?",
                    (made, now, "" if before else titled(content, files), thread))
        if finish:                               # else `end` does it
            self.index("SELECT id FROM messages WHERE id = ?", made)
        return made

    def append(self, message, content, thought, tokens, calls=None, seconds=None):
        """Append what was drawn to an answer, and say what calls it has by now, and how long it
        thought, where that changed. Missing if it was deleted meanwhile."""
        calls = None if calls is None else json.dumps(calls)
        with self.transaction() as execute:
            done = execute("UPDATE messages SET content = content || ?, thought = thought || ?, "
                           "calls = coalesce(?, calls), seconds = coalesce(?, seconds) "
                           "WHERE id = ?", (content, thought, calls, seconds, message))
            if not done.rowcount:
                raise Missing("the thread was deleted while its answer was written")
            execute("INSERT INTO pieces VALUES (?, ?)", (message, json.dumps(tokens)))

    def end(self, message, finish):
        """Say why an answer ended, or with None that it goes on."""
        with self.transaction() as execute:
            execute("UPDATE messages SET finish = ? WHERE id = ?", (finish, message))
        self.index("SELECT id FROM messages WHERE id = ?", message)

    def tokens(self, thread, message):
        """What the page was told of each token of an answer."""
        self.path_to(thread, message)
        with self.transaction() as execute:
            rows = execute("SELECT tokens FROM pieces WHERE message = ? ORDER BY rowid", (message,))
            return [token for row in rows for token in json.loads(row["tokens"])]

    def vote(self, thread, message, vote):
        """Keep what the user thinks of an answer: 1, -1 or 0."""
        self.path_to(thread, message)
        with self.transaction() as execute:
            execute("UPDATE messages SET vote = ? WHERE id = ?", (vote, message))

    # ---- What is there for all chats

    def kept(self):
        """{kind: [{id, ...}]} of all that is kept, the oldest first."""
        with self.transaction() as execute:
            rows = execute("SELECT * FROM kept ORDER BY id").fetchall()
        return {kind: [{"id": row["id"], **json.loads(row["value"])} for row in rows
                       if row["kind"] == kind] for kind in KINDS}

    def keep(self, kind, value, place=None):
        """Keep an object, in the place of the one with the id `place`, and instructions in that of
        those that there are; its id."""
        with self.transaction() as execute:
            execute("INSERT OR REPLACE INTO kept VALUES (coalesce(?, (SELECT id FROM kept WHERE "
                    "kind = 'instructions' AND kind = ?)), ?, ?)",
                    (place, kind, kind, json.dumps(value)))
            return execute("SELECT id FROM kept WHERE kind = ? AND value = ?",
                           (kind, json.dumps(value))).fetchone()["id"]

    def forget(self, place):
        """Keep the object of this id no longer."""
        with self.transaction() as execute:
            if not execute("DELETE FROM kept WHERE id = ?", (place,)).rowcount:
                raise Missing(f"nothing is kept as {place}: it may be deleted")

    # ---- Export

    def export(self, form, thread=None):
        """Yield the lines of one thread or all, the oldest first, in a form of EXPORTS."""
        with self.transaction() as execute:
            names = [thread] if thread else [row["id"] for row in execute(
                "SELECT id FROM threads ORDER BY created")]
        for name in names:
            yield from EXPORTS[form](self.read(name))


@contextmanager
def reporting(path):
    """Make of any error of SQLite's one sentence."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        if "full" in str(error):
            raise ChatError(f"{path}: the disk is full ({error}): make room") from error
        raise ChatError(f"{path}: cannot be used for chats ({error}); nothing in it was changed: "
                        f"move it away, or name another with --threads") from error


def titled(content, files=()):
    """The title of a thread that begins with this."""
    line = " ".join((content or " ".join(file["name"] for file in files)).split())
    return line if len(line) <= TITLE else line[:TITLE].rsplit(" ", 1)[0] + " ..."


# ---- As others know them -------------------------------------------------------------------------

def spoken(message):
    """The messages, as OpenAI's, that a stored one stands for: the user's with its files before its
    text; the assistant's, one for each call of a tool with its result behind it, and one more."""
    if message["role"] == "user":
        texts = [quoted(file) for file in message["files"]]
        return [{"role": "user", "content": "\n\n".join(filter(None, [*texts,
                                                                      message["content"]]))}]
    found, said, thought = [], 0, 0
    for call in [*message["calls"], None]:
        ends = (call["said"], call["thought"]) if call else (None, None)
        texts = message["content"][said:ends[0]], message["thought"][thought:ends[1]]
        found.append({"role": "assistant", **({"reasoning_content": texts[1]} if texts[1] else {}),
                      "content": texts[0]})
        if call:
            said, thought = ends
            name, arguments = understood(call["name"] if call["name"] in TOOLS else "python",
                                         call["text"])
            function = {"name": name, "arguments": json.dumps(arguments, ensure_ascii=False)}
            name = f"call_{message['id']}_{len(found)}"
            found[-1]["tool_calls"] = [{"id": name, "type": "function", "function": function}]
            found.append({"role": "tool", "tool_call_id": name, "content": call["result"] or ""})
    return found


def quoted(file):
    """A file as the model reads it: its name, and its text between longer fences than it has."""
    fence = "`" * max(3, *(1 + len(run) for run in re.findall("`+", file["text"])), 0)
    return f"{file['name']}:\n{fence}\n{file['text']}\n{fence}"


def conversation(thread, head, offer=offering, tools=None):
    """The messages up to one, as OpenAI's, with the thread's system message before them, which
    offers `tools`, by default the thread's; without answers that were stopped before they began."""
    by_id, path = {one["id"]: one for one in thread["messages"]}, []
    while head is not None:
        path.append(by_id[head])
        head = by_id[head]["parent"]
    settings = thread["settings"]
    system = offer(settings.get("system") or "", settings.get("tools", ()) if tools is None
                   else tools)
    return [{"role": "system", "content": system}] * bool(system.strip()) + [
        one for message in reversed(path) for one in spoken(message)
        if message["calls"] or one["content"].strip()]


def openai(thread):
    """{"messages": [{"role", "content"}]}, the path to the thread's head."""
    if messages := conversation(thread, thread["head"]):
        yield json.dumps({"messages": messages}, ensure_ascii=False) + "\n"


def sharegpt(thread):
    """{"conversations": [{"from", "value"}]}, the same; calls stand in the text, as Hermes has
    them."""
    names = {"system": "system", "user": "human", "assistant": "gpt", "tool": "tool"}
    turns = []
    for one in conversation(thread, thread["head"]):
        calls = [json.dumps({"name": call["function"]["name"], "arguments": json.loads(
            call["function"]["arguments"])}, ensure_ascii=False).replace("<", "\\u003c")
            for call in one.get("tool_calls", ())]
        told = [f"<tool_call>\n{call}\n</tool_call>" for call in calls]
        turns.append({"from": names[one["role"]], "value": "\n".join(
            filter(None, [one["content"], *told])), **{
                key: one[key] for key in ("reasoning_content",) if key in one}})
    if turns:
        yield json.dumps({"conversations": turns}, ensure_ascii=False) + "\n"


def markdown(thread):
    """The same to be read."""
    yield f"# {thread['title']}\n\n"
    for one in conversation(thread, thread["head"]):
        calls = [call["function"] for call in one.get("tool_calls", ())]
        told = [f"Calls {call['name']}: `{call['arguments']}`" for call in calls]
        yield "\n\n".join(filter(None, [f"**{one['role'].capitalize()}**", one["content"], *told]))
        yield "\n\n"


def preferences(thread):
    """{"prompt", "chosen", "rejected"}, each a list of messages: of the answers to one message,
    each that the user voted for with each that he voted against, if they differ."""
    for good in thread["messages"]:
        for bad in thread["messages"]:
            if (good["vote"], bad["vote"]) == (1, -1) and good["parent"] == bad["parent"] \
                    and spoken(good)[-1]["content"] != spoken(bad)[-1]["content"]:
                yield json.dumps({"prompt": conversation(thread, good["parent"]),
                                  "chosen": spoken(good), "rejected": spoken(bad)},
                                 ensure_ascii=False) + "\n"


EXPORTS = {"openai": openai, "sharegpt": sharegpt, "markdown": markdown,
           "preferences": preferences}
