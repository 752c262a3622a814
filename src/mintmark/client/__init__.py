"""The public library, and what the commands are made of: `from mintmark import AsyncClient, Client, verify`.

client, sync     AsyncClient; Client, the same without asyncio
log, register    one log: heads, entries, proofs, appends, audits; one register: records, schema, imports
proofs           verify, offline; proving fetches proofs
append           single appends, gathered
sending          batches, sent until they are answered; nothing twice
importing        plans of imports; rsf_import and table_import make them
audit, evidence  what a log signed before and after; documents that convict it
download         verified chunks, on which all reading stands
keys, addresses  whose signatures to believe; where servers are
read_api         the read API, whose word nothing proves
"""
