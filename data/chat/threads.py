"""Chats on disk, in one SQLite file: what data/chat/page.py shows.

A thread is a tree of messages: an edit, or another answer, is a message with the same parent. The
path from the first message to the thread's `head` is what the page shows. Each token of an answer
is written before it is shown, so that it outlives `kill -9`.

    threads   id, title, head, settings (an object, of the page's), created, changed
    messages  id, thread, parent, role, content, thought, files [{name, text}], model, vote,
              created, finish: None while it grows, and for ever where the program was killed
    pieces    the tokens of an answer as they were drawn: lists of what the page was told of each
    found     the words of messages, for search (FTS5)
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
from data.chat.protocol import read_text

OURS = 0x63686174    # SQLite's application_id of these files
TITLE = 60           # characters of the first question that name a thread
LISTED = 200         # threads that a list has at most
SCHEMA = f"""
PRAGMA application_id = {OURS};
CREATE TABLE threads (id TEXT PRIMARY KEY, title TEXT NOT NULL, head INTEGER,
    settings TEXT NOT NULL, created REAL NOT NULL, changed REAL NOT NULL);
CREATE TABLE messages (id INTEGER PRIMARY KEY AUTOINCREMENT,
    thread TEXT NOT NULL REFERENCES threads ON DELETE CASCADE, parent INTEGER,
    role TEXT NOT NULL, content TEXT NOT NULL, thought TEXT NOT NULL DEFAULT '',
    files TEXT NOT NULL, model TEXT, finish TEXT, vote INTEGER NOT NULL DEFAULT 0,
    created REAL NOT NULL);
CREATE INDEX messages_of ON messages (thread);
CREATE TABLE pieces (message INTEGER NOT NULL REFERENCES messages ON DELETE CASCADE,
    tokens TEXT NOT NULL);
CREATE INDEX pieces_of ON pieces (message);
CREATE VIRTUAL TABLE found USING fts5 (text, tokenize = 'unicode61 remove_diacritics 2');
CREATE TRIGGER forgotten AFTER DELETE ON messages
    BEGIN DELETE FROM found WHERE rowid = old.id; END;
"""


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
            ours, = self.base.execute("PRAGMA application_id").fetchone()
            if self.base.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                if ours != OURS:
                    raise sqlite3.DatabaseError("made by another program")
                wrong, = self.base.execute("PRAGMA quick_check(1)").fetchone()
                if wrong != "ok":
                    raise sqlite3.DatabaseError(wrong)
            for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON"):
                self.base.execute(f"PRAGMA {pragma}")
            if ours != OURS:
                self.base.executescript(f"BEGIN IMMEDIATE; {SCHEMA} COMMIT;")
            self.index("SELECT id FROM messages WHERE id NOT IN (SELECT rowid FROM found)")

    def close(self):
        """Close the file."""
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
            messages = [{**row, "files": json.loads(row["files"])} for row in execute(
                "SELECT * FROM messages WHERE thread = ? ORDER BY id", (thread,))]
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

    def append(self, message, content, thought, tokens):
        """Append what was drawn to an answer. Missing if it was deleted meanwhile."""
        with self.transaction() as execute:
            done = execute("UPDATE messages SET content = content || ?, thought = thought || ? "
                           "WHERE id = ?", (content, thought, message))
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
    """A message as OpenAI's, with its files before its text."""
    texts = [f"{file['name']}:\n```\n{file['text']}\n```" for file in message["files"]]
    thought = {"reasoning_content": message["thought"]} if message["thought"] else {}
    return {"role": message["role"], **thought,
            "content": "\n\n".join(filter(None, [*texts, message["content"]]))}


def conversation(thread, head):
    """The messages up to one, as OpenAI's, with the thread's system message before them; without
    answers that were stopped before they began."""
    by_id, found = {one["id"]: one for one in thread["messages"]}, []
    while head is not None:
        found.append(spoken(by_id[head]))
        head = by_id[head]["parent"]
    system = thread["settings"].get("system") or ""
    return [{"role": "system", "content": system}] * bool(system.strip()) + [
        one for one in reversed(found) if one["content"].strip()]


def openai(thread):
    """{"messages": [{"role", "content"}]}, the path to the thread's head."""
    if messages := conversation(thread, thread["head"]):
        yield json.dumps({"messages": messages}, ensure_ascii=False) + "\n"


def sharegpt(thread):
    """{"conversations": [{"from", "value"}]}, the same."""
    names = {"system": "system", "user": "human", "assistant": "gpt"}
    if messages := conversation(thread, thread["head"]):
        yield json.dumps({"conversations": [
            {"from": names[one.pop("role")], "value": one.pop("content"), **one}
            for one in messages]}, ensure_ascii=False) + "\n"


def markdown(thread):
    """The same to be read."""
    yield f"# {thread['title']}\n\n"
    for one in conversation(thread, thread["head"]):
        yield f"**{one['role'].capitalize()}**\n\n{one['content']}\n\n"


def preferences(thread):
    """{"prompt", "chosen", "rejected"}, each a list of messages: of the answers to one message,
    each that the user voted for with each that he voted against."""
    for good in thread["messages"]:
        for bad in thread["messages"]:
            if (good["vote"], bad["vote"]) == (1, -1) and good["parent"] == bad["parent"]:
                yield json.dumps({"prompt": conversation(thread, good["parent"]),
                                  "chosen": [spoken(good)], "rejected": [spoken(bad)]},
                                 ensure_ascii=False) + "\n"


EXPORTS = {"openai": openai, "sharegpt": sharegpt, "markdown": markdown,
           "preferences": preferences}
