-- Tables, an index, a join, text functions, a window, deletes and a vacuum, in memory and in a file.
PRAGMA journal_mode = wal;
CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT, town INTEGER, notes BLOB);
CREATE TABLE towns (id INTEGER PRIMARY KEY, name TEXT);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
    INSERT INTO towns SELECT i, printf('town %x', i * 7919 % 65536) FROM n;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60000)
    INSERT INTO people SELECT i, printf('%x-%d', i * 2654435761 % 4294967296, i), i * 31 % 500 + 1, zeroblob(i % 97) FROM n;
CREATE INDEX by_name ON people (name);
CREATE INDEX by_town ON people (town, name);
SELECT towns.name, count(*), min(people.name), sum(length(notes)) FROM people JOIN towns ON town = towns.id
    GROUP BY towns.id ORDER BY 2 DESC, 1 LIMIT 20;
SELECT town, group_concat(name) FROM (SELECT town, name FROM people ORDER BY name) GROUP BY town ORDER BY town LIMIT 3;
SELECT sum(r) FROM (SELECT rank() OVER (PARTITION BY town ORDER BY name DESC) AS r FROM people);
DELETE FROM people WHERE id % 3 = 0;
UPDATE people SET notes = notes || name WHERE town < 100;
VACUUM;
SELECT count(*), sum(length(notes)), max(name) FROM people;
SELECT count(*) FROM people WHERE name LIKE '%beef%';
PRAGMA integrity_check;
