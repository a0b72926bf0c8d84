# Builds a large structure, writes it as text and parses it again: what a service in Python does all day. Usage: records.py
import json
import re

records = [{"key%d" % (i % 1000): [i, str(i), {"half": i / 2}]} for i in range(60000)]
text = json.dumps(records)
for _ in range(6):
    parsed = json.loads(text)
print(len(text), len(parsed), len(re.findall(r"\d+", text)))
