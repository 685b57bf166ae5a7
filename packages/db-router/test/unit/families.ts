/**
 * Families of statements: each `{a|b|}` is one of its alternatives, and every combination is a statement. Together with the
 * corpus they have every command of the Postgres manual in the forms that its grammar gives it.
 */
const READS = `
select {*|id, title|distinct id|count(*), max(id)} from {jobs|only jobs|jobs j|jobs as j (a, b)|jobs join islands i on true|jobs, lateral (select 1) l|(select 1) s(a)|generate_series(1, 3) g}{| where id = 1| where id in (select 1)| where title like 'a%'}{| order by 1| group by id having count(*) > 1}{| limit 1| offset 2 rows fetch first 3 rows only}
{select 1|values (1)|table jobs|(select 1)} {union|union all|intersect|except} {select 2|values (2)|table old|(select 2)}
explain{| analyze| verbose| (analyze, costs off)} {select * from jobs|values (1)|table jobs|with a as (select 1) select * from a}
`

const OTHERS = `
insert into jobs{| as j}{| (id, title)} {values (1, 'a')|values (1, default), (2, 'b')|select id, title from old|table old|with o as (select 1, 'a') select * from o}{| on conflict do nothing| on conflict (id) do update set title = excluded.title where jobs.open}{| returning *| returning id as new}
insert into jobs{| as j} default values{| on conflict do nothing}{| returning *| returning id}
{update jobs|update only jobs|update jobs as j} set {title = 'a'|title = default|(title, open) = ('a', true)|(title, open) = (select 'a', true)|title = upper(title)}{| from islands i}{| where id = 1| where current of c}{| returning *| returning id, title}
delete from {jobs|only jobs|jobs as j}{| using islands i| using islands i, tags t}{| where id = 1| where exists (select 1)| where current of c}{| returning *| returning id}
merge into jobs j using {new n|(select 1 as id) n|only new n} on n.id = j.id when matched {then delete|then update set title = 'a'|and j.open then do nothing}{| when not matched then insert (id) values (n.id)| when not matched then do nothing| when not matched and n.id > 1 then insert default values}
with a as {|materialized |not materialized }({insert into jobs default values returning *|update jobs set title = 'a' returning *|delete from jobs returning *}) {select * from a|select count(*) from a|table a|select 1 where exists (select 1 from a)|insert into log select * from a|select * from a union all select * from a}
select {id|*} from {jobs|jobs j|jobs join islands i on true|(select 1) s, jobs} {for update|for no key update|for share|for key share}{| of jobs}{| nowait| skip locked}
select {*|id, title|distinct id} into {|temp |unlogged |table }t from jobs{| where id = 1}
alter table {jobs|only jobs|if exists jobs|public.jobs} {add column a int|add a text not null default 'x'|drop column a|drop column if exists a cascade|alter a set default 1|alter a drop not null|alter a type text|rename a to b|rename to works|set schema public|owner to a|add constraint c check (a > 0)|add constraint c foreign key (a) references b (c) not valid|drop constraint c|validate constraint c|enable row level security|disable trigger all|set (fillfactor = 70)|set logged|cluster on i|replica identity full|inherit p|no inherit p|set tablespace t}
create {|temp |temporary |unlogged |local temp }table {|if not exists }t {(id int)|(id int primary key, a text default 'x')|(like jobs)|as select 1 as a|as table jobs with no data|(id int) partition by range (id)|of my_type|(id int) inherits (p)}
create {|unique }index {|concurrently }{i |if not exists i }on jobs {(id)|using gin (tags)|(lower(title), id desc)|(id) include (title)|(id) where open}
create {|or replace }{|temp }view v {|(a) }as {select 1|values (1)|table jobs|with a as (select 1) select * from a}
drop {table|view|materialized view|sequence|index|type|domain|schema|extension|foreign table|collation|conversion|statistics|text search configuration|text search dictionary|publication}{| if exists} a{|, b}{| cascade| restrict}
grant {select|insert, update|all|all privileges|select (a)} on {jobs|table jobs, islands|all tables in schema public} to {a|public|a, b}{| with grant option}
revoke {|grant option for }{select|all} on {jobs|all tables in schema public} from {a|public}{| cascade}
comment on {table|view|materialized view|index|sequence|schema|role|database|extension|collation|domain|foreign table} a is {'x'|null}
set {|local |session }{a.b = 'c'|a.b to default|search_path to public, other|time zone 'utc'|role none|xml option document|names 'UTF8'}
copy {jobs|jobs (id)|public.jobs} {from stdin|to stdout|from '/a'|to program 'cat'}{| with (format csv)| with (format binary)}
vacuum{| full| freeze| verbose| analyze}{| jobs| public.jobs}
analyze{| verbose}{| jobs| jobs (a, b), islands}
declare c {|binary |insensitive |scroll |no scroll }cursor {|with hold |without hold }for {select 1|values (1)}
{fetch|move} {next|prior|first|last|absolute 1|relative -1|all|forward 2|backward all} {from|in} c
{begin|begin work|begin transaction|start transaction}{| isolation level serializable| isolation level read committed| read write| read only| not deferrable}
{commit|end|rollback|abort}{| work| transaction}{| and chain| and no chain}
lock{| table} {jobs|only jobs|jobs, islands}{| in access share mode| in row exclusive mode| in exclusive mode}{| nowait}
truncate{| table} {jobs|only jobs|jobs, islands}{| restart identity| continue identity}{| cascade| restrict}
explain{| analyze| verbose| (analyze, costs off)} {insert into jobs default values|update jobs set a = 1|delete from jobs|create table t as select 1|execute p|declare c cursor for select 1|refresh materialized view m|select * from jobs for update|select nextval('s')}
prepare p{| (int)| (int, text)} as {select 1|insert into jobs default values|update jobs set a = 1|delete from jobs|values (1)}
execute p{|(1)|(1, 'a')}
{listen a|unlisten a|unlisten *|notify a|notify a, 'b'}
`

/** Calls that belong on the primary, and where in a query one may stand. */
const CALLS = `{nextval('s')|setval('s', 1)|pg_advisory_lock(1)|pg_try_advisory_lock(1, 2)|pg_advisory_xact_lock_shared(1)|set_config('a.b', 'c', true)|pg_notify('a', 'b')|txid_current()|pg_backend_pid()|my_function(1)|"My Function"(1)|public.now()|lo_create(0)}`
const PLACES: readonly ((call: string) => string)[] = [
  (call) => `select ${call}`,
  (call) => `select 1 where ${call} is null`,
  (call) => `select * from ${call} f`,
  (call) => `select (select ${call})`,
  (call) => `select coalesce(null, ${call})`,
  (call) => `values (${call})`,
  (call) => `select case when true then ${call} end`,
  (call) => `select array[${call}], row(${call})`,
  (call) => `select * from jobs order by ${call}`,
  (call) => `select count(*) from jobs group by ${call}`,
  (call) => `select max(${call}) over () from jobs`,
  (call) => `select * from jobs, lateral (select ${call}) l`,
  (call) => `select * from jobs limit ${call}`,
]

function expand(family: string): readonly string[] {
  const open = family.indexOf('{')
  if (open < 0) return [family]
  const close = family.indexOf('}', open)
  const rest = expand(family.slice(close + 1))
  return family
    .slice(open + 1, close)
    .split('|')
    .flatMap((choice) => rest.map((tail) => family.slice(0, open) + choice + tail))
}

function members(families: string): readonly string[] {
  return families
    .split('\n')
    .filter((family) => family !== '')
    .flatMap(expand)
}

/** Statements that only read. */
export const READ_FAMILIES: readonly string[] = members(READS)
/** Statements that must not run on a replica. */
export const OTHER_FAMILIES: readonly string[] = [
  ...members(OTHERS),
  ...expand(CALLS).flatMap((call) => PLACES.map((place) => place(call))),
]
