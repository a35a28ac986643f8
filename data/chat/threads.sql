-- The file of chats (threads.py): its schema, and what later versions added, after a line ====.
PRAGMA application_id = 1667785076;     -- "chat"
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
-- ====
ALTER TABLE messages ADD COLUMN calls TEXT NOT NULL DEFAULT '[]';
ALTER TABLE messages ADD COLUMN seconds REAL NOT NULL DEFAULT 0;
CREATE TABLE kept (id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, value TEXT NOT NULL,
    UNIQUE (kind, value));
