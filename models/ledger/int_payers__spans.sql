-- Who pays for what an actor does when the row names no account: for every stretch of time, the best of the actor's
-- own account and the organizations it is then a member of.
with actors as (
    select distinct actor
    from {{ source('landing', 'batch') }}
    where account is null and actor is not null and reason is null
),

candidates as (
    select
        actors.actor,
        terms.account_id,
        terms.subscription_id,
        plans.priority,
        accounts.entity_type,
        terms.starts_at as from_at,
        coalesce(terms.ends_at, {{ forever() }}) as to_at
    from actors
    inner join {{ source('catalog', 'terms') }} as terms on actors.actor = terms.account_id
    inner join {{ source('catalog', 'accounts') }} as accounts on terms.account_id = accounts.account_id
    inner join {{ source('catalog', 'plans') }} as plans on terms.plan = plans.plan
    union all
    select
        actors.actor,
        terms.account_id,
        terms.subscription_id,
        plans.priority,
        accounts.entity_type,
        greatest(terms.starts_at, memberships.joined_at) as from_at,
        least(coalesce(terms.ends_at, {{ forever() }}), coalesce(memberships.left_at, {{ forever() }})) as to_at
    from actors
    inner join {{ source('catalog', 'memberships') }} as memberships on actors.actor = memberships.user_id
    inner join {{ source('catalog', 'terms') }} as terms on memberships.organization_id = terms.account_id
    inner join {{ source('catalog', 'accounts') }} as accounts on terms.account_id = accounts.account_id
    inner join {{ source('catalog', 'plans') }} as plans on terms.plan = plans.plan
),

living as (
    select * from candidates where from_at < to_at
),

edges as (
    select actor, from_at as edge from living
    union
    select actor, to_at as edge from living
),

stretches as (
    select
        actor,
        edge as from_at,
        lead(edge) over (partition by actor order by edge) as to_at
    from edges
),

final as (
    select
        stretches.actor,
        stretches.from_at,
        stretches.to_at,
        living.account_id,
        living.subscription_id
    from stretches
    inner join living
        on
            stretches.actor = living.actor
            and stretches.from_at >= living.from_at
            and stretches.to_at <= living.to_at
    where stretches.to_at is not null
    qualify
        row_number() over (
            partition by stretches.actor, stretches.from_at
            order by living.priority desc, living.entity_type asc, living.account_id asc, living.subscription_id asc
        ) = 1
)

select * from final
