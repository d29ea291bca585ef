/* The units of a plan: registrations, and calls from the side that makes them. Part of agent.h. */
#ifndef LD_CALLER_H
#define LD_CALLER_H

static const char *const ld_methods[] = {"REGISTER", "INVITE", "OPTIONS"};

static inline ld_plan *ld_plan_of(ld_agent *agent, const ld_unit *unit) {
    return &agent->plans[unit->plan];
}

static inline uint32_t ld_slot_of(const ld_agent *agent, const ld_unit *unit) {
    return (uint32_t)(unit - agent->units);
}

/* By the Call-ID, which names slot and generation; NULL when it is not ours or over. */
static ld_unit *ld_unit_of(ld_agent *agent, const ld_message *message) {
    char id[LD_NAME + 32], *end;
    ld_copy(id, sizeof id, ld_header(message, "Call-ID", 'i'));
    char *run = strchr(id, '@');
    if (!run || strcmp(run + 1, agent->run))
        return NULL;
    uint32_t slot = (uint32_t)strtoul(id, &end, 16);
    if (*end != '.' || slot >= agent->room)
        return NULL;
    ld_unit *unit = &agent->units[slot];
    return unit->state != LD_FREE && strtoul(end + 1, NULL, 16) == unit->generation ? unit : NULL;
}

/* A request inside a call that we made has the tag of our From in its To. Through a proxy the callee has the same Call-ID. */
static bool ld_unit_is_asked(ld_agent *agent, const ld_unit *unit, const ld_message *message) {
    char tag[LD_NAME], own[32];
    ld_copy(tag, sizeof tag, ld_parameter(ld_header(message, "To", 't'), "tag"));
    snprintf(own, sizeof own, "%x.%x", ld_slot_of(agent, unit), unit->generation);
    return !strcmp(tag, own);
}

static bool ld_unit_wait(ld_agent *agent, ld_unit *unit, uint64_t until) {
    return ld_heap_add(&agent->heap, until, ld_slot_of(agent, unit), ++unit->turn);
}

static void ld_unit_free(ld_agent *agent, ld_unit *unit) {
    if (unit->state == LD_UP || unit->state == LD_CLOSING)
        ld_plan_of(agent, unit)->up--;
    unit->state = LD_FREE;
    unit->turn++;
    unit->next_free = agent->free_unit;
    agent->free_unit = ld_slot_of(agent, unit) + 1;
}

/* From the challenge that asks for MD5, or names no algorithm. */
static void ld_learn_nonce(ld_account *account, const ld_message *challenge) {
    const char *name = challenge->status == 407 ? "Proxy-Authenticate" : "WWW-Authenticate";
    ld_piece found = ld_header(challenge, name, 0);
    while (found.at) {
        ld_piece algorithm = ld_parameter(found, "algorithm");
        if (!algorithm.at || ld_is(algorithm, "MD5"))
            break;
        found = ld_header_after(challenge, found.at, name, 0);
    }
    ld_copy(account->nonce, sizeof account->nonce, ld_parameter(found, "nonce"));
    account->nonce_count = 0;
}

/* Credentials for the nonce that the account knows (RFC 2617 §3.2.2), with qop=auth. */
static void ld_put_authorization(ld_agent *agent, ld_writer *writer, ld_account *account, const char *method, const char *uri, bool proxy) {
    char wanted[LD_MD5_HEX + 1], response[LD_MD5_HEX + 1], count[16];
    snprintf(count, sizeof count, "%08x", ++account->nonce_count);
    ld_md5_joined(wanted, method, uri, NULL);
    ld_md5_joined(response, account->ha1, account->nonce, count, "6c6f6164", "auth", wanted, NULL);
    ld_putf(writer, "%s: Digest username=\"%s\",realm=\"%s\",nonce=\"%s\",uri=\"%s\",response=\"%s\",", proxy ? "Proxy-Authorization" : "Authorization",
            account->user, agent->domain, account->nonce, uri, response);
    ld_putf(writer, "algorithm=MD5,cnonce=\"6c6f6164\",qop=auth,nc=%s\r\n", count);
}

static void ld_put_head(ld_agent *agent, ld_writer *writer, ld_unit *unit, const char *method, const char *uri) {
    ld_flow *flow = &agent->flows[unit->flow];
    ld_account *account = &agent->accounts[unit->account];
    uint32_t slot = ld_slot_of(agent, unit);
    bool is_ack_of_2xx = unit->state >= LD_UP && *method == 'A'; /* RFC 3261 §13.2.2.4: a transaction of its own */
    ld_putf(writer, "%s %s SIP/2.0\r\nVia: SIP/2.0/%s %s;branch=z9hG4bK%x.%x.%x%s;rport\r\nMax-Forwards: 70\r\n", method, uri, ld_transports[flow->kind],
            flow->host, slot, unit->generation, unit->cseq, is_ack_of_2xx ? "a" : "");
    ld_putf(writer, "From: <sip:%s@%s>;tag=%x.%x\r\n", account->user, agent->domain, slot, unit->generation);
    if (*unit->to)
        ld_putf(writer, "%sTo: %s\r\n", unit->route, unit->to);
    else
        ld_putf(writer, "To: <sip:%s@%s>\r\n", unit->target, agent->domain);
    ld_putf(writer, "Call-ID: %x.%x@%s\r\nCSeq: %u %s\r\n", slot, unit->generation, agent->run, unit->cseq, method);
}

/* Sends the unit's first request, with credentials when there is a nonce, and waits for what comes. */
static void ld_unit_ask(ld_agent *agent, ld_unit *unit, bool with_credentials, bool proxy, uint64_t now) {
    ld_plan *plan = ld_plan_of(agent, unit);
    ld_flow *flow = &agent->flows[unit->flow];
    const char *method = ld_methods[plan->kind];
    char uri[2 * LD_NAME + 8];
    ld_writer writer = {unit->last, 0, sizeof unit->last, false};
    if (plan->kind == LD_REGISTRATION)
        snprintf(uri, sizeof uri, "sip:%s", agent->domain);
    else
        snprintf(uri, sizeof uri, "sip:%s@%s", unit->target, agent->domain);
    unit->cseq++;
    ld_put_head(agent, &writer, unit, method, uri);
    const char *user = *plan->contact ? plan->contact : agent->accounts[unit->account].user;
    ld_putf(&writer, "Contact: <sip:%s@%s;transport=%s>\r\n", user, flow->host, flow->kind == LD_UDP ? "udp" : flow->kind == LD_TCP ? "tcp" : "tls");
    if (with_credentials)
        ld_put_authorization(agent, &writer, &agent->accounts[unit->account], method, uri, proxy);
    ld_put(&writer, "User-Agent: voipat-load\r\nAllow: INVITE, ACK, BYE, CANCEL, OPTIONS\r\n");
    if (plan->kind == LD_CALL)
        ld_put_description(&writer, &plan->offer, unit->media.local_port, 1);
    else
        ld_put(&writer, plan->kind == LD_REGISTRATION ? "Expires: 3600\r\nContent-Length: 0\r\n\r\n" : "Content-Length: 0\r\n\r\n");
    unit->length = (uint16_t)writer.length;
    unit->state = LD_TRYING;
    unit->sent = now, unit->wait = LD_T1, unit->patience = now + agent->patience;
    ld_emit(agent, unit->flow, unit->last, unit->length);
    ld_unit_wait(agent, unit, now + LD_T1);
}

/* NULL: all are in use. One that was never used is not touched before it is needed. */
static ld_unit *ld_unit_new(ld_agent *agent) {
    if (!agent->free_unit && agent->fresh_unit == agent->room)
        return NULL;
    uint32_t slot = agent->free_unit ? agent->free_unit - 1 : agent->fresh_unit++;
    ld_unit *unit = &agent->units[slot];
    agent->free_unit = agent->free_unit ? unit->next_free : 0;
    unit->generation++;
    return unit;
}

static void ld_unit_start(ld_agent *agent, uint8_t index, uint64_t now) {
    ld_plan *plan = &agent->plans[index];
    uint64_t number = plan->launched;
    ld_unit *unit = ld_unit_new(agent);
    if (!unit) {
        plan->counts.unsent++;
        return;
    }
    unit->plan = index;
    unit->due = plan->next;
    unit->account = plan->accounts_from + (uint32_t)(number % plan->accounts);
    ld_account *account = &agent->accounts[unit->account];
    unit->flow = account->flow;
    unit->target = plan->kind == LD_REGISTRATION ? account->user : plan->target[number % plan->targets];
    unit->cseq = unit->challenges = unit->is_spoilt = 0;
    unit->to[0] = unit->remote[0] = unit->route[0] = 0;
    unit->media = (ld_media){.local_port = plan->media_from ? (uint16_t)(plan->media_from + 2 * ld_slot_of(agent, unit)) : LD_NO_MEDIA};
    ld_unit_ask(agent, unit, plan->keeps_nonce && *account->nonce, false, now);
}

static void ld_unit_failed(ld_agent *agent, ld_unit *unit) {
    ld_plan_of(agent, unit)->counts.failed++;
    ld_unit_free(agent, unit);
}

static void ld_unit_ack(ld_agent *agent, ld_unit *unit, const char *uri) {
    char text[LD_MESSAGE];
    ld_writer writer = {text, 0, sizeof text, false};
    ld_put_head(agent, &writer, unit, "ACK", uri);
    ld_put(&writer, "Content-Length: 0\r\n\r\n");
    ld_emit(agent, unit->flow, text, writer.length);
}

/* RFC 3261 §17.1.1.3: the ACK of a refusal goes where the INVITE went, with its branch. */
static void ld_unit_ack_refusal(ld_agent *agent, ld_unit *unit, const ld_message *message) {
    char uri[2 * LD_NAME + 8];
    snprintf(uri, sizeof uri, "sip:%s@%s", unit->target, agent->domain);
    ld_copy(unit->to, sizeof unit->to, ld_header(message, "To", 't'));
    ld_unit_ack(agent, unit, uri);
    unit->to[0] = 0;
}

static void ld_unit_hang_up(ld_agent *agent, ld_unit *unit, uint64_t now) {
    ld_writer writer = {unit->last, 0, sizeof unit->last, false};
    unit->cseq++;
    ld_put_head(agent, &writer, unit, "BYE", unit->remote);
    ld_put(&writer, "Content-Length: 0\r\n\r\n");
    unit->length = (uint16_t)writer.length;
    unit->state = LD_CLOSING;
    unit->sent = now, unit->wait = LD_T1, unit->patience = now + agent->patience;
    ld_emit(agent, unit->flow, unit->last, unit->length);
    ld_unit_wait(agent, unit, now + LD_T1);
}

/* RFC 3261 §12.1.2: the route set of a caller is the Record-Route upside down. */
static void ld_unit_learn_route(ld_unit *unit, const ld_message *message) {
    ld_piece values[8];
    int count = 0;
    ld_writer route = {unit->route, 0, sizeof unit->route, false};
    for (ld_piece value = ld_header(message, "Record-Route", 0); value.at && count < 8; value = ld_header_after(message, value.at, "Record-Route", 0))
        values[count++] = value;
    unit->route[0] = 0;
    while (count-- > 0) {
        ld_put(&route, "Route: ");
        ld_put_piece(&route, values[count].at, values[count].length);
        ld_put(&route, "\r\n");
    }
}

static void ld_unit_answered(ld_agent *agent, ld_unit *unit, const ld_message *message, uint64_t now) {
    ld_plan *plan = ld_plan_of(agent, unit);
    ld_copy(unit->to, sizeof unit->to, ld_header(message, "To", 't'));
    ld_copy(unit->remote, sizeof unit->remote, ld_uri_of(ld_header(message, "Contact", 'm')));
    ld_unit_learn_route(unit, message);
    ld_histogram_add(&plan->counts.setup, now - unit->due);
    unit->state = LD_UP;
    plan->up++;
    ld_unit_ack(agent, unit, unit->remote);
    unit->is_spoilt = !ld_media_read(&unit->media, message, plan->offer.suite);
    if (unit->is_spoilt)
        ld_unit_hang_up(agent, unit, now);
    else if (plan->hold != LD_FOREVER)
        ld_unit_wait(agent, unit, now + plan->hold);
    else
        unit->turn++;
}

static void ld_unit_challenged(ld_agent *agent, ld_unit *unit, const ld_message *message, uint64_t now) {
    ld_account *account = &agent->accounts[unit->account];
    ld_plan_of(agent, unit)->counts.challenged++;
    ld_learn_nonce(account, message);
    ld_unit_ask(agent, unit, true, message->status == 407, now);
}

static void ld_unit_final(ld_agent *agent, ld_unit *unit, const ld_message *message, uint64_t now) {
    ld_plan *plan = ld_plan_of(agent, unit);
    bool is_challenge = message->status == 401 || message->status == 407;
    if (plan->kind == LD_CALL && message->status >= 300)
        ld_unit_ack_refusal(agent, unit, message);
    if (is_challenge && unit->challenges++ < 2 && *agent->accounts[unit->account].ha1) {
        ld_unit_challenged(agent, unit, message, now);
        return;
    }
    plan->counts.statuses[message->status < LD_STATUSES ? message->status : 0]++;
    if (message->status >= 300) {
        ld_unit_failed(agent, unit);
    } else if (plan->kind == LD_CALL) {
        ld_unit_answered(agent, unit, message, now);
    } else {
        ld_histogram_add(&plan->counts.setup, now - unit->due);
        plan->counts.ok++;
        ld_unit_free(agent, unit);
    }
}

static void ld_unit_response(ld_agent *agent, ld_unit *unit, const ld_message *message, uint64_t now) {
    ld_plan *plan = ld_plan_of(agent, unit);
    ld_piece cseq = ld_header(message, "CSeq", 0);
    if (strtoul(cseq.at, NULL, 10) != unit->cseq) {
        if (ld_is(message->method, "INVITE") && message->status >= 200 && message->status < 300 && unit->state == LD_CLOSING)
            return; /* the 200 of a call that ends already */
        agent->unexpected++;
        return;
    }
    if (unit->state == LD_CLOSING) {
        if (message->status < 200)
            return;
        ld_histogram_add(&plan->counts.teardown, now - unit->sent);
        message->status < 300 && !unit->is_spoilt ? plan->counts.ok++ : plan->counts.failed++;
        ld_unit_free(agent, unit);
    } else if (unit->state == LD_UP) {
        ld_unit_ack(agent, unit, unit->remote); /* the 200 again: our ACK was lost */
    } else if (message->status >= 200) {
        ld_unit_final(agent, unit, message, now);
    } else if (plan->kind == LD_CALL && unit->state == LD_TRYING) {
        unit->state = LD_PROCEEDING;
        ld_unit_wait(agent, unit, unit->patience);
    }
}

static void ld_unit_due(ld_agent *agent, ld_unit *unit, uint32_t turn, uint64_t now) {
    ld_plan *plan = ld_plan_of(agent, unit);
    if (turn != unit->turn)
        return;
    if (unit->state == LD_UP) {
        ld_unit_hang_up(agent, unit, now);
        return;
    }
    if (now >= unit->patience || unit->state == LD_PROCEEDING) {
        plan->counts.timed_out++;
        ld_unit_failed(agent, unit);
        return;
    }
    if (agent->flows[unit->flow].kind == LD_UDP) {
        plan->counts.retransmitted++;
        ld_emit(agent, unit->flow, unit->last, unit->length);
    }
    unit->wait = plan->kind != LD_CALL && 2 * unit->wait > LD_T2 ? LD_T2 : 2 * unit->wait;
    ld_unit_wait(agent, unit, now + unit->wait < unit->patience ? now + unit->wait : unit->patience);
}

/* Takes no calls down that are not up: those are followed to their end. */
static void ld_hang_up_all(ld_agent *agent, uint32_t plan, double rate, uint64_t now) {
    uint64_t due = now;
    for (uint32_t i = 0; i < agent->room; i++)
        if (agent->units[i].state == LD_UP && agent->units[i].plan == plan) {
            ld_unit_wait(agent, &agent->units[i], due);
            due += (uint64_t)(1e9 / rate);
        }
}

#endif
