insert into t values (1, 2, 'x', 3.5, now())
insert into t (a, c) values (1, 'x'), (2, default)
insert into t (a) values ($1), ($2 + 1)
insert into t (a, b) select a, k from u
insert into t (a, c) select a, b from u
insert into t (a, nope) values (1, 2)
insert into t (a, a) values (1, 2)
insert into t (a, b) values (1)
insert into t (a) values (1, 2)
insert into t (a) values ('x')
insert into t (a, b) values (1, true)
insert into w (x) values (1)
insert into w values (1, 2)
insert into w (x, g) values (1, 2)
insert into w (x, g) values (1, default)
insert into w default values
insert into v values (1)
insert into bid (auction) values (1)
insert into t (a, b) values (1, 2) on conflict (a) do update set b = excluded.b + t.b where t.c is null
insert into t (a) values (1) on conflict do nothing
insert into t (a) values (1) on conflict (b) do nothing
insert into t (a) values (1) returning a, b + 1 as x, *
insert into t (a, b) values (1, (select max(b) from u))
update t set b = b + 1 where a = 3
update t set b = u.b, c = 'y' from u where u.a = t.a returning t.a
update w set x = 5
update w set x = u.b from u where u.a = w.x
update t set (b, c) = (1, 'x'), d = default
update t set (b, c) = (select b, c from u where u.a = t.a)
update t set b = (select max(b) from u where u.a = t.a)
update t set nope = 1
update t set b = 1, b = 2
delete from t where a = 1
delete from t
delete from t using u where t.a = u.a returning *
delete from w using u where w.x = u.a
delete from t where a in (select a from u)
create table x (a int primary key, b varchar(3) default 'q', c timestamptz not null default now(), d int[], e numeric(5,1))
create table x (a int, b int, primary key (b, a))
create table x (a int, a text)
create table x (a nope)
create table x (a int default b)
create table x (a int, b int as (a * 2), c int as (b + 1))
create source s (id int, "timestamp" bigint, event_time timestamptz as to_timestamp("timestamp"), watermark for event_time as event_time - interval '5 seconds') include partition as p include offset include timestamp as k with (connector = 'kafka')
create source s (ts timestamp, watermark for ts as ts + interval '5 seconds') with (connector = 'kafka')
delete from cat
update cat set name = 'x'
insert into cat values (1, 'x') on conflict (id) do update set name = 'y'
insert into cat values (1, 'x') on conflict do nothing
