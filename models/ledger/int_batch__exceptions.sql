-- The usages of tonight's batch that do not enter the ledger, each with why: its row is held, or it is a duplicate.
-- Everything else in the batch is accepted. Only usages whose key stands twice, or in the ledger, are looked at closely.
-- Millions are read as they lie in the batch, a column or two at a time; only what may be contested is put beside each other.
{% set in_conflict = conflicts('distinct_claims.event_keys', 'distinct_claims.usages', 'walk.taken_keys', 'walk.taken') -%}
with recursive bad_usages as (
    select source, raw_file, raw_line, emit_no, reason, detail
    from {{ ref('int_batch__placed') }}
    where reason is not null
),

held_rows as (
    select
        source,
        raw_file,
        raw_line,
        min_by(reason, {{ reason_rank('reason') }}) as reason
    from bad_usages
    group by all
),

repeated_keys as (
    select key_hi from {{ source('landing', 'batch') }} group by key_hi having count(*) > 1
),

-- Looked up by one half of the key, which is a fraction of the work; whole keys are compared below.
looked_up as (
    select ledger.key_hi
    from {{ source('books', 'ledger') }} as ledger
    semi join {{ source('landing', 'batch') }} as batch
        on ledger.key_hi = batch.key_hi
),

known_keys as (
    select
        ledger.key_hi,
        ledger.key_lo,
        {{ event_key('ledger.key_hi', 'ledger.key_lo') }} as event_key,
        {{ content_hash('ledger') }} as content
    from (
        select *, case when is_account_named then account_id end as account from {{ source('books', 'ledger') }}
    ) as ledger
    semi join looked_up on ledger.key_hi = looked_up.key_hi
),

suspects as (
    select batch.source, batch.raw_file, batch.raw_line, batch.key_hi
    from {{ source('landing', 'batch') }} as batch
    semi join (
        select key_hi from repeated_keys
        union
        select key_hi from known_keys
    ) as suspected
        on batch.key_hi = suspected.key_hi
    anti join held_rows
        on batch.source = held_rows.source and batch.raw_file = held_rows.raw_file and batch.raw_line = held_rows.raw_line
),

contested_keys as (
    select key_hi from suspects group by key_hi having count(*) > 1
    union
    select key_hi from known_keys
),

contested_rows as (
    select distinct suspects.source, suspects.raw_file, suspects.raw_line
    from suspects
    inner join contested_keys on suspects.key_hi = contested_keys.key_hi
),

contested as (
    select
        batch.source,
        batch.raw_file,
        batch.raw_line,
        batch.emit_no,
        batch.occurred_at,
        coalesce(batch.identity_hi, batch.key_hi) as group_id,
        {{ event_key('batch.key_hi', 'batch.key_lo') }} as event_key,
        {{ content_hash('batch') }} as content
    from {{ source('landing', 'batch') }} as batch
    semi join contested_rows
        on
            batch.source = contested_rows.source
            and batch.raw_file = contested_rows.raw_file
            and batch.raw_line = contested_rows.raw_line
),

-- One entry per row: what it would put under which keys, a usage being its key with its content.
claims as (
    select
        source,
        raw_file,
        raw_line,
        group_id,
        min(occurred_at) as occurred_at,
        min_by(content, emit_no) as first_content,
        array_sort(array_agg(event_key)) as event_keys,
        array_sort(array_agg(event_key || content)) as usages
    from contested
    group by all
),

-- Rows of a group that say exactly the same stand or fall together.
distinct_claims as (
    select
        group_id,
        event_keys,
        usages,
        cast(
            row_number() over (
                partition by group_id order by min(occurred_at), min(first_content), min((raw_file, raw_line))
            ) as bigint
        ) as turn
    from claims
    group by group_id, event_keys, usages
),

groups as (
    select
        claims.group_id,
        coalesce(array_agg(distinct ours.event_key) filter (where ours.key_hi is not null), {{ no_texts() }}) as known_keys,
        coalesce(
            array_agg(distinct ours.event_key || ours.content) filter (where ours.key_hi is not null), {{ no_texts() }}
        ) as known
    from contested as claims
    left join known_keys as ours on claims.event_key = ours.event_key
    group by claims.group_id
),

-- Where all claims of a group name the same keys, whoever comes first takes them all; only groups that mix different
-- keys are walked claim by claim.
shapes as (
    select
        distinct_claims.group_id,
        groups.known_keys,
        groups.known,
        count(distinct distinct_claims.event_keys) = 1
        and (
            cardinality(groups.known_keys) = 0
            or bool_and(
                cardinality(array_intersect(distinct_claims.event_keys, groups.known_keys))
                = cardinality(distinct_claims.event_keys)
            )
        ) as is_uniform
    from distinct_claims
    inner join groups on distinct_claims.group_id = groups.group_id
    group by distinct_claims.group_id, groups.known_keys, groups.known
),

-- `taken` after `turn` claims.
walk as (
    select
        group_id,
        cast(0 as bigint) as turn,
        known_keys as taken_keys,
        known as taken
    from shapes
    where not is_uniform
    union all
    select
        walk.group_id,
        distinct_claims.turn,
        if({{ in_conflict }}, walk.taken_keys, walk.taken_keys || distinct_claims.event_keys) as taken_keys,
        if({{ in_conflict }}, walk.taken, walk.taken || distinct_claims.usages) as taken
    from walk
    inner join distinct_claims on walk.group_id = distinct_claims.group_id and walk.turn + 1 = distinct_claims.turn
),

judged_claims as (
    select
        distinct_claims.group_id,
        distinct_claims.usages,
        {{ conflicts(
            'distinct_claims.event_keys',
            'distinct_claims.usages',
            'distinct_claims.event_keys',
            'if(cardinality(shapes.known) > 0, shapes.known, '
            ~ 'first_value(distinct_claims.usages) over (partition by distinct_claims.group_id order by distinct_claims.turn))'
        ) }} as is_conflict
    from distinct_claims
    inner join shapes on distinct_claims.group_id = shapes.group_id and shapes.is_uniform
    union all
    select
        distinct_claims.group_id,
        distinct_claims.usages,
        {{ in_conflict }} as is_conflict
    from distinct_claims
    inner join walk on distinct_claims.group_id = walk.group_id and distinct_claims.turn = walk.turn + 1
),

-- Of the rows that agree, the one with the smallest file and line owns a key, unless the ledger has it already.
judged as (
    select
        contested.source,
        contested.raw_file,
        contested.raw_line,
        contested.emit_no,
        judged_claims.is_conflict,
        known_keys.key_hi is not null
        or row_number() over (
            partition by contested.event_key, judged_claims.is_conflict order by contested.raw_file, contested.raw_line
        ) > 1 as is_duplicate
    from contested
    inner join claims
        on contested.source = claims.source and contested.raw_file = claims.raw_file and contested.raw_line = claims.raw_line
    inner join judged_claims on claims.group_id = judged_claims.group_id and claims.usages = judged_claims.usages
    left join known_keys on contested.event_key = known_keys.event_key
),

final as (
    select
        batch.source,
        batch.raw_file,
        batch.raw_line,
        batch.emit_no,
        'held' as verdict,
        held_rows.reason,
        case when bad_usages.reason = held_rows.reason then bad_usages.detail end as detail
    from {{ source('landing', 'batch') }} as batch
    inner join held_rows
        on batch.source = held_rows.source and batch.raw_file = held_rows.raw_file and batch.raw_line = held_rows.raw_line
    left join bad_usages
        on
            batch.source = bad_usages.source
            and batch.raw_file = bad_usages.raw_file
            and batch.raw_line = bad_usages.raw_line
            and batch.emit_no = bad_usages.emit_no
    union all
    select
        source,
        raw_file,
        raw_line,
        emit_no,
        if(is_conflict, 'held', 'duplicate') as verdict,
        if(is_conflict, 'key_conflict', null) as reason,
        if(is_conflict, 'another row says something else under the same identity', null) as detail
    from judged
    where is_conflict or is_duplicate
)

select * from final
