/** Statements that are reads, whatever else is in them. */
export const READS = `
select 1
select
select * from jobs
SELECT id, title FROM jobs WHERE id = $1
select all id from jobs
select distinct title from jobs
select distinct on (island) island, title from jobs order by island, posted desc
table jobs
table only jobs
values (1, 'a'), (2, 'b')
values (1), (2) order by 1 limit 1
(select 1)
((select 1) union (select 2))
select 1 union all select 2 intersect select 3 except select 4
with a as (select 1) select * from a
with a as materialized (select 1), b(x) as not materialized (select 2) select * from a, b
with recursive t(n) as (values (1) union all select n + 1 from t where n < 10) select sum(n) from t
with recursive t(n) as (select 1 union all select n + 1 from t) search depth first by n set o select * from t
with recursive t(n) as (select 1 union all select n + 1 from t) cycle n set c using p select * from t
select count(*), max(id), min(id), avg(id), sum(id) from jobs group by island having count(*) > 1
select island, title, count(*) from jobs group by grouping sets ((island), (title), ())
select island, count(*) from jobs group by rollup (island, title)
select island, count(*) from jobs group by cube (island, title)
select count(*) filter (where open) from jobs
select row_number() over (partition by island order by id), rank() over w from jobs window w as (order by id)
select lag(id, 1) over (order by id rows between unbounded preceding and current row) from jobs
select percentile_cont(0.5) within group (order by wage) from jobs
select string_agg(title, ', ' order by title) from jobs
select case when wage > 10 then 'much' else 'little' end from jobs
select coalesce(title, 'none'), nullif(wage, 0), greatest(1, 2), least(1, 2) from jobs
select * from jobs j join islands i on i.id = j.island left join tags t using (id) cross join lateral (select 1) x
select * from jobs natural join islands
select * from jobs full outer join islands on true
select * from jobs where id in (select job from applications) and exists (select 1 from tags)
select * from jobs where id = any ($1::int[]) or id = all (array[1, 2]) or not (title like 'a%')
select * from jobs where title ilike '%diver%' escape '!' and title similar to 'a|b'
select * from jobs where wage between 1 and 2 and closed is null and open is not true
select * from jobs where (a, b) = (1, 2) and row(1, 2) <> row(2, 1)
select * from jobs where title is distinct from 'a' and wage is not distinct from 3
select * from jobs where posted at time zone 'utc' > now() - interval '1 day'
select * from jobs order by posted desc nulls last, id using < limit 10 offset 20
select * from jobs fetch first 5 rows only
select * from jobs order by id fetch next 5 rows with ties
select * from jobs order by id limit all
select * from jobs tablesample bernoulli (10) repeatable (1)
select * from jobs tablesample system (10)
select * from generate_series(1, 10) as g(n)
select * from generate_series(1, 10) g(n)
select * from generate_series(1, 10) with ordinality as g(n, o)
select * from rows from (generate_series(1, 2), unnest(array[1])) as r(a, b)
select * from unnest(array[1, 2], array['a', 'b']) with ordinality as u(a, b, c)
select * from json_to_recordset($1) as r(id int, name text)
select * from jsonb_to_record('{}') as (a int, b text)
select * from (values (1, 'a')) v(id, name)
select * from (values (1, 'a')) as v (id, name)
select * from (select 1) s(a), lateral (select a) t
select array(select id from jobs), (array[1, 2])[1], (array[1, 2, 3])[1:2]
select 'it''s', E'it\\'s', N'a', B'101', X'1F', $$dollar$$, $tag$with 'quotes'$tag$
select 'select into x; delete from y', "update", t."delete" from "insert" t
select "into" from "for update"
select t.update, t.insert, t.delete from t
select 1 as update, 2 as delete, 3 as insert
select 1.5, .5, 1e10, 1.5e-3, 0x1F, 0b11, 0o17, 1_000
select -1, +1, 1 + 2 * 3 ^ 4 % 5, 1 / 2, |/ 4, @ -1, 1 & 2 | 3 # 4, ~ 1, 1 << 2
select a->'b', a->>'b', a#>'{b}', a @> '{}', a ? 'b', a ?| array['b'], a ?& array['b'] from t
select a || b, a ~ 'x', a !~* 'x', a && b, a <@ b, a @@ b, a <-> b from t
select cast(a as numeric(10, 2)), a::varchar(20), a::timestamp(3) with time zone, a::interval day to second(2) from t
select a::public.money_type, a::"my Type", a::int[], a::character varying(10), a::bit varying(3), a::double precision from t
select date '2026-01-01', timestamp '2026-01-01', interval '1' day, time '10:00', bool 'true'
select extract(epoch from now()), date_trunc('day', now()), age(now()), to_char(now(), 'YYYY')
select substring('abc' from 1 for 2), position('a' in 'b'), trim(both ' ' from ' a '), overlay('a' placing 'b' from 1)
select upper(lower(title)), length(title), replace(title, 'a', 'b'), left(title, 1), right(title, 1) from jobs
select now(), current_timestamp, current_date, localtime, current_user, session_user, current_catalog
select current_timestamp(3), localtimestamp(2), current_time(1)
select clock_timestamp(), random(), gen_random_uuid(), statement_timestamp()
select md5('a'), sha256('a'), encode('a', 'hex'), decode('00', 'hex')
select to_tsvector('english', title) @@ plainto_tsquery('english', $1), ts_rank(v, q), ts_headline('a', q) from jobs
select jsonb_build_object('a', 1), json_agg(row_to_json(t)), jsonb_set(a, '{b}', '1'), jsonb_path_query(a, '$.b') from t
select json_object('a': 1, 'b': 2), json_array(1, 2), json_value(a, '$.b'), json_exists(a, '$.b') from t
select * from json_table('[{"a":1}]', '$[*]' columns (a int path '$.a', b text path '$.b')) as jt
select * from xmltable('/a' passing x columns b text path 'b')
select xmlelement(name a, xmlattributes(1 as b), 'c'), xmlforest(1 as a), xmlconcat(a, b) from t
select regexp_replace(title, 'a', 'b'), regexp_matches(title, 'a'), split_part(title, ',', 1) from jobs
select array_agg(id), array_length(a, 1), array_position(a, 1), cardinality(a), unnest(a) from t
select pg_typeof(1), pg_size_pretty(1::bigint), pg_relation_size('jobs'), obj_description('jobs'::regclass)
select pg_catalog.lower('A'), pg_catalog.now()
select format('%s', 1), concat('a', 'b'), concat_ws(',', 'a'), lpad('a', 2), chr(1), ascii('a')
select abs(-1), ceil(1.5), floor(1.5), round(1.5, 1), trunc(1.5), mod(1, 2), power(2, 3), sqrt(4), width_bucket(1, 2, 3, 4)
select int4range(1, 2), lower(r), upper(r), isempty(r), range_merge(r, r) from t
select inet_merge(a, b), host(a), network(a), point(1, 2), area(b) from t
select grouping(island) from jobs group by island
select * from pg_class c join pg_namespace n on n.oid = c.relnamespace
select * from information_schema.tables
select relname from pg_catalog.pg_class where oid = 'jobs'::regclass
select version(), pg_is_in_recovery(), current_setting('server_version')
select * from jobs for_update
select for_update, share from jobs
select * from jobs where note = 'for update'
select * from jobs -- for update
select * from jobs /* for update; delete from jobs */ where true
select /* nested /* comment */ still */ 1
select 1 --
select 1;
select 1 ; ;
;select 1
explain select * from jobs
explain analyze select * from jobs
explain verbose select 1
explain (analyze, buffers, format json) select * from jobs
explain (costs off) with a as (select 1) select * from a
explain (select 1)
explain analyze verbose values (1)
select * from only jobs
select * from jobs * 
select (jobs).id, (jobs.address).street, jobs.* from jobs
select $1::text, $2::int, $3
select exists (select 1), not exists (select 2)
select 1 where false
select (date '2020-01-01', date '2020-02-01') overlaps (date '2020-01-15', date '2020-03-01')
select a collate "C" from t order by a collate "en_US"
select a operator(pg_catalog.+) b from t
select 1 is null, 1 isnull, 1 notnull, true is unknown
select merge_id from merges
select normalize('a', nfc), 'a' is normalized
`

/** Statements that must not run on a replica: they write, lock, keep state, or answer for one server only. */
export const OTHERS = `
insert into jobs values (1)
insert into jobs (title) select title from old
insert into jobs default values returning id
insert into jobs values (1) on conflict (id) do update set title = excluded.title
insert into jobs values (1) on conflict do nothing
with a as (select 1) insert into jobs select * from a
update jobs set title = 'a' where id = 1
update jobs set (a, b) = (select 1, 2) from islands i where i.id = jobs.id returning *
update only jobs set title = default
with a as (select 1) update jobs set title = 'b'
delete from jobs where id = 1
delete from jobs using islands i where i.id = jobs.island returning *
with a as (select 1) delete from jobs
merge into jobs j using new n on n.id = j.id when matched then update set title = n.title when not matched then insert values (n.id)
with a as (insert into jobs values (1) returning *) select * from a
with a as (update jobs set title = 'a' returning *) select * from a
with a as (delete from jobs returning *) select * from a
with a as materialized (delete from jobs returning *) select count(*) from a
with a as (select 1), b as (insert into jobs select * from a returning id) select * from b
select * from (with x as (select 1) select * from x) y, (with z as (select 2) select * from z for update) q
with a as (select * from jobs for update) select * from a
select * into backup from jobs
select * into temp backup from jobs
select 1 into unlogged table t
with a as (select 1) select * into b from a
select * from jobs for update
select * from jobs for no key update
select * from jobs for share
select * from jobs for key share
select * from jobs for update of jobs nowait
select * from jobs for share skip locked
select * from (select * from jobs for update) x
select * from jobs where id in (select id from jobs for update skip locked)
(select * from jobs for update)
select * from jobs FOR
UPDATE
select nextval('s')
select setval('s', 1)
select currval('s'), lastval()
select pg_catalog.nextval('s')
select "nextval"('s')
select pg_catalog."setval"('s', 1)
select nextval ('s')
select nextval/**/('s')
select pg_advisory_lock(1)
select pg_try_advisory_lock(1)
select pg_advisory_xact_lock(1)
select pg_try_advisory_xact_lock_shared(1, 2)
select pg_advisory_unlock_all()
select treat(1 as pg_advisory_lock)
select "pg_advisory_lock"(1)
select PG_ADVISORY_LOCK(1)
select * from pg_try_advisory_lock(1) as a(locked)
select 1 where pg_try_advisory_lock(1)
select case when true then pg_advisory_lock(1) end
select distinct on (id) pg_advisory_lock(1) from jobs
select distinct on (id) my_lock(id) from jobs
select set_config('a.b', 'c', false)
select setseed(0.5)
select pg_notify('a', 'b')
select txid_current(), pg_current_xact_id()
select pg_export_snapshot()
select pg_backend_pid()
select pg_cancel_backend(1), pg_terminate_backend(1)
select pg_reload_conf()
select pg_switch_wal(), pg_create_restore_point('a'), pg_logical_emit_message(true, 'a', 'b')
select pg_promote(), pg_wal_replay_pause()
select lo_create(0), lo_unlink(1), lo_from_bytea(0, 'a')
select pg_stat_reset()
select pg_read_file('a')
select * from pg_create_logical_replication_slot('a', 'b')
select my_function(1)
select my_schema.my_function(1)
select "My Function"(1)
select "LOWER"(title) from jobs
select pg_catalog."Lower"(title) from jobs
select * from "Generate_Series"(1, 2)
select public.lower('a')
select my_function(my_other(1)) from jobs
select * from my_function(1) f
select * from jobs, my_function(jobs.id)
select * from jobs order by my_function(id)
select query_to_xml('delete from jobs', true, true, '')
select dblink_exec('a', 'b')
select * from pg_stat_activity
select * from pg_stat_replication
select * from pg_locks
select * from pg_catalog.pg_locks
select * from pg_settings
select * from "pg_locks"
select * from pg_cursors, pg_prepared_statements
select * from pg_replication_slots
select 1; select 2
select 1; delete from jobs
begin; insert into jobs values (1); commit
begin
start transaction
begin read only
begin isolation level serializable
start transaction isolation level repeatable read, read only, deferrable
commit
end
commit and chain
rollback
abort
rollback to savepoint a
savepoint a
release savepoint a
prepare transaction 'a'
commit prepared 'a'
rollback prepared 'a'
set a.b = 'c'
set local search_path to public
set session characteristics as transaction read only
set transaction isolation level serializable
set role admin
set session authorization default
set constraints all deferred
set time zone 'utc'
reset all
reset role
show search_path
show all
discard all
listen a
unlisten *
notify a, 'b'
prepare p as select 1
prepare p (int) as insert into jobs values ($1)
execute p
execute p(1)
deallocate all
declare c cursor for select 1
declare c cursor with hold for select 1
fetch next from c
fetch 10 from c
move c
close c
lock table jobs
lock jobs in access exclusive mode nowait
load 'auto_explain'
checkpoint
copy jobs to stdout
copy jobs from stdin
copy (select 1) to stdout
copy (delete from jobs returning *) to stdout
copy jobs to '/tmp/a' with (format csv)
call my_procedure(1)
do $$ begin perform 1; end $$
do language plpgsql 'begin end'
truncate jobs
truncate table only jobs restart identity cascade
vacuum
vacuum (full, analyze) jobs
analyze
analyze jobs (title)
cluster jobs using jobs_pkey
reindex table jobs
reindex database concurrently a
refresh materialized view m
refresh materialized view concurrently m with no data
explain insert into jobs values (1)
explain analyze insert into jobs values (1)
explain analyze delete from jobs
explain (analyze) update jobs set title = 'a'
explain analyze with a as (delete from jobs returning *) select * from a
explain analyze select * from jobs for update
explain analyze select nextval('s')
explain analyze execute p
explain create table t as select 1
explain declare c cursor for select 1
explain refresh materialized view m
alter table jobs add column a int
alter table jobs rename to works
alter table jobs alter column a type bigint using a::bigint
alter table jobs attach partition p for values from (1) to (2)
alter table jobs enable row level security
alter index i rename to j
alter view v rename to w
alter materialized view m rename to n
alter sequence s restart with 1
alter type t add value 'a'
alter domain d drop not null
alter function f(int) rename to g
alter procedure p() owner to a
alter routine r() depends on extension e
alter aggregate a(int) rename to b
alter operator +(int, int) owner to a
alter operator class c using btree rename to d
alter operator family c using btree rename to d
alter schema a rename to b
alter database a set b to c
alter role a set b to c
alter user a password 'b'
alter group g add user a
alter tablespace t rename to u
alter extension e update
alter foreign data wrapper w options (add a 'b')
alter server s options (set a 'b')
alter user mapping for a server s options (set a 'b')
alter foreign table t add column a int
alter trigger t on jobs rename to u
alter event trigger t disable
alter policy p on jobs using (true)
alter publication p add table jobs
alter subscription s disable
alter collation c refresh version
alter conversion c rename to d
alter rule r on jobs rename to s
alter text search configuration c rename to d
alter text search dictionary d (a = b)
alter text search parser p rename to q
alter text search template t rename to u
alter statistics s rename to t
alter default privileges grant select on tables to a
alter system set a to 'b'
alter large object 1 owner to a
alter language l rename to m
create table t (id serial primary key, a text unique check (a <> ''), b int references jobs (id))
create temp table t (id int)
create unlogged table t (like jobs including all)
create table t as select * from jobs
create table t as table jobs
create table if not exists t partition of jobs for values in (1)
create view v as select 1
create or replace temp view v as select 1
create recursive view v (n) as select 1
create materialized view m as select 1
create index i on jobs (title)
create unique index concurrently i on jobs (lower(title)) where open
create sequence s
create type t as enum ('a', 'b')
create type t as (a int, b text)
create type t as range (subtype = int)
create domain d as int check (value > 0)
create function f(a int) returns int language sql as 'select 1'
create or replace function f() returns trigger language plpgsql as $$ begin return new; end $$
create procedure p() language sql begin atomic insert into jobs values (1); end
create aggregate a(int) (sfunc = int4pl, stype = int)
create operator === (leftarg = int, rightarg = int, function = int4eq)
create operator class c for type int using btree as operator 1 <
create operator family f using btree
create cast (a as b) with function f(a)
create collation c (locale = 'C')
create conversion c for 'UTF8' to 'LATIN1' from f
create schema a
create schema a create table t (id int)
create database a
create role a login
create user a
create group g
create tablespace t location '/a'
create extension e
create foreign data wrapper w
create server s foreign data wrapper w
create user mapping for a server s
create foreign table t (a int) server s
import foreign schema a from server s into b
create trigger t after insert on jobs for each row execute function f()
create event trigger t on ddl_command_start execute function f()
create policy p on jobs using (true)
create publication p for all tables
create subscription s connection 'a' publication p
create rule r as on insert to jobs do instead nothing
create statistics s on a, b from jobs
create text search configuration c (copy = english)
create text search dictionary d (template = simple)
create text search parser p (start = a, gettoken = b, end = c, lextypes = d)
create text search template t (lexize = a)
create transform for t language l (from sql with function f(internal))
create access method m type table handler h
create language l
drop table jobs
drop table if exists jobs, islands cascade
drop view v
drop materialized view m
drop index concurrently i
drop sequence s
drop type t
drop domain d
drop function f(int)
drop procedure p
drop routine r
drop aggregate a(int)
drop operator +(int, int)
drop operator class c using btree
drop operator family f using btree
drop cast (a as b)
drop collation c
drop conversion c
drop schema a cascade
drop database a
drop role a
drop user a
drop group g
drop tablespace t
drop extension e
drop foreign data wrapper w
drop server s
drop user mapping for a server s
drop foreign table t
drop trigger t on jobs
drop event trigger t
drop policy p on jobs
drop publication p
drop subscription s
drop rule r on jobs
drop statistics s
drop text search configuration c
drop text search dictionary d
drop text search parser p
drop text search template t
drop transform for t language l
drop access method m
drop language l
drop owned by a
reassign owned by a to b
grant select on jobs to a
grant a to b
revoke all on jobs from a
revoke a from b
comment on table jobs is 'a'
security label on table jobs is 'a'
`

export function lines(text: string): string[] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .reduce<string[]>((all, line) => {
      // One entry spans two lines: it ends in a bare FOR.
      if (all.at(-1)?.endsWith(' FOR')) all.push(`${all.pop()}\n${line}`)
      else all.push(line)
      return all
    }, [])
}
