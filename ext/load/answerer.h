/* Calls from the side that answers them, and whatever else the server asks its phones. Part of agent.h. */
#ifndef LD_ANSWERER_H
#define LD_ANSWERER_H

static uint64_t ld_key_of(ld_piece text) {
    uint64_t key = 0xcbf29ce484222325ULL; /* FNV-1a */
    for (size_t i = 0; i < text.length; i++)
        key = (key ^ (uint8_t)text.at[i]) * 0x100000001b3ULL;
    return key | 1;
}

static ld_answer *ld_answer_of(ld_agent *agent, uint64_t key) {
    for (uint32_t at = agent->hashed[key % LD_HASHED]; at; at = agent->answers[at - 1].next_same)
        if (agent->answers[at - 1].key == key)
            return &agent->answers[at - 1];
    return NULL;
}

static ld_answer *ld_answer_new(ld_agent *agent, uint64_t key) {
    if (!agent->free_answer && agent->fresh_answer == agent->room)
        return NULL;
    uint32_t at = agent->free_answer ? agent->free_answer : ++agent->fresh_answer;
    ld_answer *answer = &agent->answers[at - 1];
    agent->free_answer = agent->free_answer == at ? answer->next_free : 0;
    answer->key = key;
    answer->next_same = agent->hashed[key % LD_HASHED];
    agent->hashed[key % LD_HASHED] = at;
    return answer;
}

static void ld_answer_free(ld_agent *agent, ld_answer *answer) {
    uint32_t at = (uint32_t)(answer - agent->answers) + 1, *link = &agent->hashed[answer->key % LD_HASHED];
    while (*link != at)
        link = &agent->answers[*link - 1].next_same;
    *link = answer->next_same;
    answer->state = LD_UNANSWERED;
    answer->key = 0;
    answer->turn++;
    answer->next_free = agent->free_answer;
    agent->free_answer = at;
}

/* Everything of a response but what is particular to it; `key` 0 adds no tag of ours. */
static void ld_put_response(ld_writer *writer, const ld_message *message, const char *line, uint64_t key) {
    ld_piece to = ld_header(message, "To", 't');
    ld_putf(writer, "SIP/2.0 %s\r\n", line);
    ld_put_headers(writer, message, "Via", 'v');
    ld_put_headers(writer, message, "Record-Route", 0);
    ld_put_headers(writer, message, "From", 'f');
    ld_put(writer, "To: ");
    ld_put_piece(writer, to.at, to.at ? to.length : 0);
    if (key && !ld_parameter(to, "tag").at)
        ld_putf(writer, ";tag=%llx", (unsigned long long)key);
    ld_put(writer, "\r\n");
    ld_put_headers(writer, message, "Call-ID", 'i');
    ld_put_headers(writer, message, "CSeq", 0);
}

static void ld_respond(ld_agent *agent, uint32_t flow, const ld_message *message, const char *line, uint64_t key) {
    char text[LD_MESSAGE];
    ld_writer writer = {text, 0, sizeof text, false};
    ld_put_response(&writer, message, line, key);
    ld_put(&writer, "Content-Length: 0\r\n\r\n");
    if (!writer.full)
        ld_emit(agent, flow, text, writer.length);
}

/* The user of the Request-URI is `p` and the number of a profile: it was registered so. */
static uint8_t ld_profile_of(const ld_message *message) {
    ld_piece uri = message->uri;
    bool is_named = uri.length > 5 && uri.at[4] == 'p' && isdigit((unsigned char)uri.at[5]);
    return is_named && uri.at[5] - '0' < LD_PROFILES ? (uint8_t)(uri.at[5] - '0') : 0;
}

static void ld_answer_wait(ld_agent *agent, ld_answer *answer, uint64_t until) {
    ld_heap_add(&agent->heap, until, (uint32_t)(answer - agent->answers) | LD_ANSWERING, ++answer->turn);
}

static void ld_answer_invite(ld_agent *agent, uint32_t flow, const ld_message *message, uint64_t key, uint64_t now) {
    ld_answer *answer = ld_answer_new(agent, key);
    uint8_t number = ld_profile_of(message);
    ld_profile *profile = &agent->profiles[number];
    if (!answer) {
        ld_respond(agent, flow, message, "486 Busy Here", key);
        return;
    }
    uint32_t slot = (uint32_t)(answer - agent->answers);
    int tag = *profile->said.suite ? ld_sdp_key(message, profile->said.suite, answer->media.key) : 1;
    answer->profile = number, answer->flow = flow, answer->state = LD_OFFERED;
    answer->media.local_port = agent->answer_media_from ? (uint16_t)(agent->answer_media_from + 2 * slot) : LD_NO_MEDIA;
    if (!tag || !ld_media_read(&answer->media, message, profile->said.suite)) {
        ld_respond(agent, flow, message, "488 Not Acceptable Here", key);
        ld_answer_free(agent, answer);
        return;
    }
    if (profile->rings)
        ld_respond(agent, flow, message, "180 Ringing", key);
    ld_writer writer = {answer->last, 0, sizeof answer->last, false};
    ld_put_response(&writer, message, "200 OK", key);
    ld_putf(&writer, "Contact: <sip:p%u@%s;transport=%s>\r\n", number, agent->flows[flow].host,
            agent->flows[flow].kind == LD_UDP ? "udp" : agent->flows[flow].kind == LD_TCP ? "tcp" : "tls");
    ld_put_description(&writer, &profile->said, answer->media.local_port, tag);
    answer->length = (uint16_t)writer.length;
    answer->wait = LD_T1, answer->patience = now + agent->patience;
    ld_emit(agent, flow, answer->last, answer->length);
    ld_answer_wait(agent, answer, now + LD_T1);
}

static void ld_answer_request(ld_agent *agent, uint32_t flow, const ld_message *message, uint64_t now) {
    uint64_t key = ld_key_of(ld_header(message, "Call-ID", 'i'));
    ld_answer *answer = ld_answer_of(agent, key);
    if (ld_is(message->method, "INVITE")) {
        if (!answer)
            ld_answer_invite(agent, flow, message, key, now);
        else if (answer->state == LD_OFFERED)
            ld_emit(agent, flow, answer->last, answer->length);
        else
            ld_respond(agent, flow, message, "488 Not Acceptable Here", key); /* what was agreed on stays */
    } else if (ld_is(message->method, "ACK")) {
        if (answer && answer->state == LD_OFFERED) {
            answer->state = LD_CONFIRMED;
            answer->turn++;
        }
    } else {
        agent->asked += ld_is(message->method, "OPTIONS");
        ld_respond(agent, flow, message, "200 OK", key);
        if (answer && (ld_is(message->method, "BYE") || ld_is(message->method, "CANCEL")))
            ld_answer_free(agent, answer);
    }
}

static void ld_answer_due(ld_agent *agent, ld_answer *answer, uint32_t turn, uint64_t now) {
    if (turn != answer->turn || answer->state != LD_OFFERED)
        return;
    if (now >= answer->patience) {
        ld_answer_free(agent, answer);
        return;
    }
    agent->answer_repeats++;
    ld_emit(agent, answer->flow, answer->last, answer->length);
    answer->wait = 2 * answer->wait > LD_T2 ? LD_T2 : 2 * answer->wait;
    ld_answer_wait(agent, answer, now + answer->wait);
}

/* What the server asks inside a call that we made. */
static void ld_unit_request(ld_agent *agent, ld_unit *unit, uint32_t flow, const ld_message *message, uint64_t now) {
    (void)now;
    if (ld_is(message->method, "INVITE"))
        ld_respond(agent, flow, message, "488 Not Acceptable Here", 0);
    else if (!ld_is(message->method, "ACK"))
        ld_respond(agent, flow, message, "200 OK", 0);
    if (!ld_is(message->method, "BYE"))
        return;
    if (unit->state == LD_UP) {
        ld_plan_of(agent, unit)->counts.hung_up++;
        ld_unit_failed(agent, unit);
    }
}

#endif
