# The journals that sqlite makes and removes, a log in shared memory, and two processes at once.
rows=$((300 * SCALE))
fill="with recursive n(i) as (select 1 union all select i + 1 from n where i < $rows)"
for mode in delete truncate persist wal memory; do
    sqlite3 "$mode.db" "pragma journal_mode=$mode" 'create table t(a integer primary key, b text)' \
        "$fill insert into t select i, hex(i * 7919) from n" 'create index of_b on t(b)'
    # A transaction each.
    for ((i = 0; i < 8; i++)); do echo "insert into t(b) values('$mode $i');"; done | sqlite3 "$mode.db"
    sqlite3 "$mode.db" 'begin' 'delete from t where a % 3 = 0' 'rollback' 'begin' 'update t set b = b || a where a % 5 = 0' 'commit'
    sqlite3 "$mode.db" 'pragma integrity_check' 'select count(*), sum(a), max(length(b)) from t'
    sqlite3 "$mode.db" .dump | sha256sum
done
# One that dies in the middle of a transaction leaves a journal; the next one rolls back.
# shellcheck disable=SC2016
{ sqlite3 delete.db 'pragma cache_spill=1' 'pragma cache_size=1' 'begin' 'update t set b = b || b' '.shell kill -9 $PPID'; } 2>/dev/null
echo "status $?"; [ -s delete.db-journal ] && echo "a hot journal"
sqlite3 delete.db 'pragma integrity_check' 'select count(*), max(length(b)) from t'; [ -e delete.db-journal ] || echo "rolled back"
for _ in 1 2 3; do
    for ((i = 0; i < 6; i++)); do echo "insert into t(b) values('writer');"; done | sqlite3 -cmd '.timeout 60000' wal.db &
done; wait
sqlite3 wal.db "select b, count(*) from t where b like 'writer%' group by b" 'pragma wal_checkpoint(truncate)' 'pragma integrity_check'
sqlite3 wal.db 'vacuum' 'pragma integrity_check'; sqlite3 wal.db '.backup copy.db'; sqlite3 copy.db 'select count(*) from t'
sqlite3 missing/x.db 'create table t(a)' 2>/dev/null; echo "status $?"; ls
